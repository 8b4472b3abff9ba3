"""Spellings and functions that one list knew and another did not: each transformation now answers for all of them."""

import pytest
import torch
from test_patches import boxes_of, check, local
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.capture.operators import behind, every_operator
from pellucid.capture.receptive.propagation import Reach
from pellucid.capture.running import guarded
from pellucid.methods.cam import LINEAR


class Chain(nn.Module):
    """A convolution, what is to be tried, and a mean over all places."""

    def __init__(self, tried):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.tried = nn.Conv2d(3, 4, 3), tried
        self.mean, self.variance = torch.rand(4, dtype=torch.float64), torch.rand(4, dtype=torch.float64) + 0.5

    def forward(self, x):
        return self.tried(self, F.conv2d(input=x, weight=self.conv.weight, bias=self.conv.bias)).mean((2, 3))


def nine(_, x):
    inside = x.tanh() * 0.5
    grown = inside.acos() + inside.asin() + inside.asinh() + inside.atan() + inside.cos() + inside.cosh()
    return grown + inside.exp2() + (inside + 1).log10() + (inside + 1).log2() + inside.sinh()


TRIED = {
    "nine functions": nine,
    "batch norm of torch": lambda net, x: torch.batch_norm(
        x, None, None, net.mean, net.variance, False, 0.1, 1e-5, False
    ),
    "gated": lambda net, x: F.glu(x, 1),
    "prelu": lambda net, x: F.prelu(x, net.mean),
    "rrelu": lambda net, x: F.rrelu(x),
    "root mean square": lambda net, x: F.rms_norm(x.movedim(1, -1), (4,)).movedim(-1, 1),
    "turned": lambda net, x: x.mT.exp(),
    "dropout of torch": lambda net, x: torch.dropout(x, 0.5, False),
}


@pytest.mark.parametrize("name", TRIED)
def test_box_by_box_as_whole(name):
    image = torch.rand(1, 3, 9, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    check(Chain(TRIED[name]).double().eval(), image, local(boxes_of(9, 8, 3, 4)))


@pytest.mark.parametrize("name", ["nine functions", "batch norm of torch", "gated", "prelu"])
def test_deep_lift_is_complete(name):
    image = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    net = Chain(TRIED[name]).double().eval()
    with torch.no_grad():
        gone = float(net(image)[0, 0] - net(torch.zeros_like(image))[0, 0])
    assert float(pellucid.explain(net, image, "deep-lift", 0)["deep-lift"].raw.sum()) == pytest.approx(gone, rel=1e-9)


def reached(function):
    """First and last column that each value of a function of `[1, 1, 1, 4]` depends on, and the doubts."""
    image = torch.zeros(1, 1, 1, 4)
    with guarded(nn.Identity()), torch.no_grad(), Reach(image) as reach:
        y = function(image.reshape(4))
    boxes = reach.boxes(y)
    return boxes[1].tolist(), (-boxes[3]).tolist(), {doubt.kind for doubt in reach.doubts(y)}


def test_a_number_put_into_a_place_depends_on_nothing():
    first, last, doubts = reached(lambda x: x.scatter(0, torch.tensor([1]), 0.5))
    assert (first, last, doubts) == ([0, torch.inf, 2, 3], [0, -torch.inf, 2, 3], set())


def test_values_added_into_places_reach_both():
    first, last, doubts = reached(lambda x: x.index_put((torch.tensor([0]),), x[3:], accumulate=True))
    assert first[0] == 0
    assert last[0] == 3
    assert doubts == {"bound"}


def test_cam_knows_the_linear_operators_of_the_vocabulary():
    names = {name for each in every_operator() for name in each.node if name.isalnum()}
    linear = {name for name in names if behind(name).traits & {"linear", "summing", "moving", "joining"}}
    # norms are linear in evaluation alone, sampling in one of its operands, which a name does not tell
    left = {
        name for name in linear if behind(name).kind == "norms" or name.startswith(("gridsampler", "copybackwards"))
    }
    assert linear - left == LINEAR
