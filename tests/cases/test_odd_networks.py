"""Networks that go by ways of torch that few take: gradients of their own, rows under vmap, weights made in it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.errors import BadSite, Refused

IMAGES = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


class Net(nn.Module):
    """Two convolutions, where `first` says how the first of them is run."""

    def __init__(self, first):
        super().__init__()
        torch.manual_seed(1)
        self.first = first
        self.a, self.b, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)
        self.double().eval()

    def forward(self, x):
        return self.head(self.b(self.first(self, x).relu()).relu().mean((2, 3)))


def plain(net, x):
    return net.a(x)


def stepped(net, x):
    """A step downhill of an energy, as networks that adapt to each picture take it."""
    with torch.enable_grad():
        z = x if x.requires_grad else x.detach().requires_grad_()
        energy = net.a(z).relu().pow(2).sum()
        (slope,) = torch.autograd.grad(energy, z, create_graph=True)
    return net.a(x + 0.1 * slope)


def stepped_if_it_can(net, x):
    """As before, but for a way out where nothing is recorded, which nobody would notice."""
    with torch.enable_grad():
        z = x if x.requires_grad else x.detach().requires_grad_()
        return stepped(net, x) if net.a(z).requires_grad else net.a(x)


def each_row(net, x):
    return torch.vmap(lambda row: net.a(row[None])[0])(x)


def as_volume(net, x):
    return F.conv3d(x[:, :, None], net.a.weight[:, :, None], net.a.bias, padding=(0, 1, 1))[:, :, 0]


def made_weights(net, x):
    return F.conv2d(x, net.a.weight * (1 + x.mean() * 0), net.a.bias, padding=1)


def between_extremes(net, x):
    low, high = x.flatten(1).amin(1), x.flatten(1).amax(1)
    return net.a((x - low[:, None, None, None]) / (high - low + 1e-3)[:, None, None, None])


def sparse(net, x):
    return (
        torch.sparse.mm(net.a.weight[:, :, 1, 1].to_sparse(), x.transpose(0, 1).flatten(1))
        .view(4, len(x), 4, 4)
        .transpose(0, 1)
    )


def explained(first, method, images=IMAGES, **more):
    return pellucid.explain(Net(first), images, method, 1, **more)[method].raw


@pytest.mark.parametrize("first", [stepped, stepped_if_it_can])
def test_a_network_that_takes_gradients_of_its_own_is_asked_as_it_answers(first):
    """Hidden channel by channel, and not in torch's inference mode, which records nothing."""
    net = Net(first)

    def score(images):
        with torch.no_grad():
            return net(images)[:, 1]

    options = {"occlusion": {"window": 2, "stride": 2, "fill": 0.0}}
    found = pellucid.explain(net, IMAGES, "occlusion", 1, options=options)["occlusion"].raw
    for row in range(2):
        for column in range(2):
            hidden = IMAGES.clone()
            hidden[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 0
            torch.testing.assert_close(found[:, row, column], score(IMAGES) - score(hidden))


@pytest.mark.parametrize("method", ["lrp", "deep-lift", "guided-backprop", "excitation-backprop", "full-grad"])
def test_gradients_of_its_own_are_never_what_a_rule_sends_back(method):
    """They would be relevance, multipliers or guided signals, and the network another one."""
    with pytest.raises(Refused, match="gradients of its own"):
        explained(stepped, method)


def test_biases_of_a_picture_that_is_run_as_a_volume_have_their_maps():
    torch.testing.assert_close(explained(as_volume, "full-grad"), explained(plain, "full-grad"))


@pytest.mark.parametrize(
    ("first", "method", "why"),
    [
        (made_weights, "full-grad", "first axis is not that of the pictures"),
        (between_extremes, "full-grad", "a quotient of two values"),
        (sparse, "lrp", "sparse"),
    ],
)
def test_what_has_no_rule_is_named(first, method, why):
    with pytest.raises(Refused, match=why):
        explained(first, method)


def test_guided_backprop_follows_a_sparse_product():
    def dense(net, x):
        return F.conv2d(x, net.a.weight[:, :, 1:2, 1:2])

    torch.testing.assert_close(explained(sparse, "guided-backprop"), explained(dense, "guided-backprop"))


def test_rows_under_vmap_are_no_layer():
    torch.testing.assert_close(explained(each_row, "saliency"), explained(plain, "saliency"))
    torch.testing.assert_close(explained(each_row, "hires-cam", layer="b"), explained(plain, "hires-cam", layer="b"))
    with pytest.raises(BadSite, match="vmap"):
        explained(each_row, "grad-cam", layer="a")
