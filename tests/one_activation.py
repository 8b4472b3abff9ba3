"""A small network with one activation between two convolutions, and the rules for rectifiers on it by hand."""

import math

import torch
from torch import nn
from torch.nn import functional as F

import pellucid

METHODS = ["guided-backprop", "deconvnet"]


class OneActivation(nn.Module):
    """Two convolutions with an activation between them."""

    def __init__(self, activation, seed=0, channels=8, classes=4):
        super().__init__()
        torch.manual_seed(seed)
        self.activation, self.first = activation, nn.Conv2d(3, channels, 3)
        self.second, self.head = nn.Conv2d(channels, channels, 3), nn.Linear(channels, classes)
        self.double()

    def forward(self, x):
        return self.head(self.second(self.activation(self.first(x))).relu().mean((2, 3)))


def by_hand(net, image, method, ceiling=math.inf, activation=None):
    """Both rules from their papers: guided 1[0 < x < c] max(R, 0), DeconvNet max(R, 0), layer by layer."""
    x = net.first(image)
    z = net.second(activation(x) if activation else x.clamp(0, ceiling))
    signal = (net.head.weight[1] / z[0, 0].numel())[None, :, None, None].expand_as(z)
    for values, most, layer in ((z, math.inf, net.second), (x, ceiling, net.first)):
        signal = signal.clamp(min=0)
        if method == "guided-backprop":
            signal = signal * ((values > 0) & (values < most))
        signal = F.conv_transpose2d(signal, layer.weight)
    return signal.detach()


def assert_guided_as_without_rectifier(net, image):
    """No rectifier lies between the convolutions, so guided is the gradient there, above the last relu clipped."""
    leaf = image.clone().requires_grad_()
    z = net.second(net.activation(net.first(leaf)))
    signal = (net.head.weight[1] / z[0, 0].numel()).clamp(min=0)[None, :, None, None] * (z > 0)
    expected = torch.autograd.grad(z, leaf, signal.detach())[0]
    found = pellucid.explain(net, image, "guided-backprop", 1)["guided-backprop"]
    torch.testing.assert_close(found.raw.double(), expected, rtol=1e-5, atol=1e-8)
