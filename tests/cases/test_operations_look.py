"""What `look` calls a layer's value is the layer's own output, or the layer is refused."""

import math
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid import zoo
from pellucid.errors import BadSite

CHANNELS, SIDE = 4, 8


class Do(nn.Module):
    """A function as a layer, with a convolution of its own."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, x):
        return self.function(x, self.conv)


def many_steps(x, conv):
    y = conv(x)
    for k in range(9):
        y = torch.tanh(y * 1.5 + 0.1 * k)
    return y


ANSWERED = {  # layer: what the last step inside of it is called
    "gated by the input": (lambda x, conv: conv(x) * torch.sigmoid(x), "mul"),
    "swish of one": (lambda x, conv: (lambda y: y * torch.sigmoid(y))(conv(x)), "mul"),
    "gelu": (lambda x, conv: (lambda y: 0.5 * y * (1 + torch.erf(y / math.sqrt(2))))(conv(x)), "mul"),
    "residual": (lambda x, conv: x + conv(x), "add"),
    "pool minus x": (lambda x, _: F.avg_pool2d(x, 3, 1, 1) - x, "sub"),
    "many steps": (many_steps, "tanh"),
    "softmax": (lambda x, conv: conv(x).softmax(1), "softmax"),
    "log_softmax": (lambda x, conv: conv(x).log_softmax(3), "log_softmax"),
    "in place": (lambda x, conv: conv(x).mul_(2).add_(1).relu_(), "relu"),
    "relu6": (lambda x, conv: F.relu6(conv(x)), "relu6"),
    "power of two": (lambda x, conv: 2 ** conv(x), "pow"),
    "where": (lambda x, conv: (lambda y: torch.where(y > 0, y, 0.1 * y))(conv(x)), "where"),
    "no convolution": (lambda x, _: x * torch.sigmoid(x), "mul"),
}
PERHAPS = {
    "flip": lambda x, conv: conv(x).flip(3),
    "flip, then relu": lambda x, conv: conv(x).flip(3).relu(),
    "transpose": lambda x, conv: conv(x).transpose(2, 3),
    "normalisation by hand": lambda x, conv: (lambda y: (y - y.mean(1, True)) / y.std(1, keepdim=True))(conv(x)),
    "two convolutions": lambda x, conv: conv(conv(x)),
    "channels shuffled": lambda x, conv: conv(x).view(1, 2, 2, SIDE, SIDE).transpose(1, 2).reshape(x.shape),
    "sum over channels": lambda x, conv: conv(x) - conv(x).sum(1, keepdim=True),
    "roll": lambda x, conv: conv(x).roll(1, 2) + 1,
    "maximum along": lambda x, conv: conv(x) / conv(x).amax((2, 3), keepdim=True),
    "written into": lambda x, conv: torch.zeros_like(x).index_copy(1, torch.arange(3, -1, -1), conv(x)),
    "as rows": lambda x, conv: conv(x).flatten(2).transpose(1, 2),
    "constant": lambda x, conv: conv(x) * 0 + torch.arange(SIDE),
    "double": lambda x, conv: torch.cat([conv(x)[:, 2:], x[:, :2]], 1),
}
MODULES = {
    "LPPool2d": nn.LPPool2d(2, 2), "Softmax": nn.Softmax(1), "Dropout": nn.Dropout(0.5), "ReLU6": nn.ReLU6(),
    "InstanceNorm2d": nn.InstanceNorm2d(CHANNELS), "GroupNorm": nn.GroupNorm(2, CHANNELS),
    "LocalResponseNorm": nn.LocalResponseNorm(3), "SiLU": nn.SiLU(), "GLU": nn.GLU(1), "PReLU": nn.PReLU(CHANNELS),
    "PixelShuffle": nn.PixelShuffle(2), "Upsample": nn.Upsample(scale_factor=2), "Linear": nn.Linear(SIDE, 5),
    "Softmax2d": nn.Softmax2d(), "ChannelShuffle": nn.ChannelShuffle(2), "Identity": nn.Identity(),
    "BatchNorm2d": nn.BatchNorm2d(CHANNELS), "mixed": zoo.MixedPool(2), "gated": zoo.GatedPool(2),
    "stochastic": zoo.StochasticPool(2), "L2": zoo.L2Pool(2), "Hardtanh": nn.Hardtanh(), "Flatten": nn.Flatten(),
}  # fmt: skip


def check(layer, places):
    """Returns whether it was answered everywhere; wherever it was, with the layer's own value."""
    net, image = nn.Sequential(layer).eval(), torch.rand(1, CHANNELS, SIDE, SIDE) + 0.1
    with torch.no_grad():
        own, answered = net(image), True
    last = isinstance(layer, nn.Linear)
    for unit, at in places if own.shape[1] > 2 else [(0, (1, 2))]:
        try:
            found = pellucid.look(net, image, "0", unit, at[: own.ndim - 2])
        except BadSite:
            answered = False
            continue
        at = at[: own.ndim - 2]
        index = (0, *at, unit) if last or own.ndim == 3 else (0, unit, *at)
        assert found.value == float(own[index])
        for stage in found.stages:
            assert stage.worked == pytest.approx(stage.value, rel=2e-5, abs=1e-6)
    return answered


PLACES = [(1, (2, 3)), (2, (0, 0)), (0, (3, 3))]


@pytest.mark.parametrize("name", ANSWERED)
def test_b3_more_than_a_chain_of_single_steps(name):
    torch.manual_seed(0)
    function, last = ANSWERED[name]
    assert check(Do(function), PLACES)
    net = nn.Sequential(Do(function))
    found = pellucid.look(net, torch.rand(1, CHANNELS, SIDE, SIDE), "0", 1, (2, 3))
    assert [stage.name for stage in found.stages][-1] == last


@pytest.mark.parametrize("name", PERHAPS)
def test_b3_the_layers_own_value_or_a_refusal(name):
    torch.manual_seed(0)
    check(Do(PERHAPS[name]), PLACES)


@pytest.mark.parametrize("name", MODULES)
def test_b3_modules_own_value_or_a_refusal(name):
    torch.manual_seed(0)
    answered = check(MODULES[name], [(1, (2, 3)), (0, (1, 1))])
    if name in ("LPPool2d", "Softmax", "Dropout", "ReLU6", "SiLU", "Linear", "Identity", "BatchNorm2d"):
        assert answered


def test_b3_lp_pooling_is_the_root_of_the_sum_of_squares():
    x, net = torch.rand(1, 4, 9, 9), nn.Sequential(nn.LPPool2d(2, 2))
    found = pellucid.look(net, x, "0", 1, (1, 1)).value
    assert found == pytest.approx(float(x[0, 1, 2:4, 2:4].square().sum().sqrt()), rel=1e-6)


def test_b3_a_residual_names_both_summands():
    torch.manual_seed(0)
    net, image = nn.Sequential(Do(lambda x, conv: x + conv(x))), torch.rand(1, CHANNELS, SIDE, SIDE)
    found = pellucid.look(net, image, "0", 1, (2, 3))
    left, right = float(image[0, 1, 2, 3]), found.pieces.value
    assert found.stages[-1].formula == f"{left:.6g} + {right:.6g} = {left + right:.6g}".replace(
        f"+ {right:.6g}", f"+ ({right:.6g})" if right < 0 else f"+ {right:.6g}"
    )


STEPS = {
    "tanh": torch.tanh, "square": torch.square, "flip": lambda y: y.flip(2), "softmax": lambda y: y.softmax(1),
    "times itself": lambda y: y * y.sigmoid(), "half": lambda y: y / 2, "rolled": lambda y: y.roll(1, 1),
    "centred": lambda y: y - y.mean((2, 3), keepdim=True), "gelu": F.gelu, "viewed": lambda y: y.view(y.shape),
    "turned": lambda y: y.transpose(2, 3), "from one": lambda y: 1 - y, "clamped": lambda y: y.clamp(-0.2, 0.3),
    "twice": lambda y: y + y, "in place": lambda y: y.mul_(0.5),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(16))
def test_b3_layers_at_random(seed):
    chosen = random.Random(seed).choices(list(STEPS.values()), k=4)

    def layer(x, conv):
        y = conv(x)
        for step in chosen:
            y = step(y)
        return y

    torch.manual_seed(seed)
    check(Do(layer), PLACES)
