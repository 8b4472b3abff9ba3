"""The backward pass, where torch's own is at fault (2.15: off by more than the gradient itself)."""

import pytest
import torch
from torch import nn

import pellucid
import tiny
from pellucid.capture.running import gradients


class TokensBehind(nn.Module):
    """Batch norm behind which rows of tokens begin; `view` keeps the input from being fed channels last."""

    def __init__(self, norm):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 3, 2, 1), norm, nn.Linear(8, tiny.CLASSES)

    def forward(self, x):
        x = self.conv(x).view(len(x), 8, 8, 8)
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        return self.fc(torch.tanh(tokens).mean(1))


def by_differences(net, image):
    """The gradient of the top score, from values alone."""
    k, step = int(net(image).argmax()), 1e-6
    with torch.no_grad():
        flat = torch.eye(image.numel(), dtype=image.dtype).reshape(-1, *image.shape[1:]) * step
        return ((net(image + flat) - net(image - flat))[:, k] / (2 * step)).reshape(image.shape)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(8), nn.InstanceNorm2d(8, affine=True)])
def test_gradient_of_a_single_picture(norm):
    net, image = tiny.build(TokensBehind, norm), tiny.images(1)
    if isinstance(norm, nn.BatchNorm2d):
        net.norm.running_var.copy_(torch.linspace(0.1, 5, 8))
    expected = by_differences(net, image)
    leaf = image.clone().requires_grad_()
    found = pellucid.explain(net, image, "saliency")["saliency"]
    torch.testing.assert_close(found.raw, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradients(net(leaf).amax(), [leaf])[0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(8), nn.InstanceNorm2d(8, affine=True)])
def test_second_derivatives_of_a_single_picture(norm):
    net, image = tiny.build(TokensBehind, norm), tiny.images(1)
    one = pellucid.explain(net, image, "shapley-cam", 1, "conv")["shapley-cam"]
    two = pellucid.explain(net, torch.cat([image, image]), "shapley-cam", 1, "conv")["shapley-cam"]
    torch.testing.assert_close(one.raw, two.raw[:1])
