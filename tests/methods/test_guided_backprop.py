"""Guided backprop (Springenberg et al., section 3.4) and DeconvNet (Zeiler & Fergus, section 2.1), by hand."""

import math

import numpy as np
import pytest
import torch
from nets import Rectified, close, conv, conv_back, numbers, random_maps, rectifier_back
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.errors import BadOption, Refused

IMAGE, CLASSES = 3 * random_maps(0, (2, 2, 5, 6)), [3, 1]
RULES = {"guided-backprop": "guided", "deconvnet": "deconvnet"}
WRITTEN_AS = {
    "one module used twice": nn.ReLU(),
    "one module in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "torch.relu_": torch.relu_,
    "method": torch.Tensor.relu,
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "threshold": nn.Threshold(0, 0),
}
CAPPED_AS = {
    "ReLU6": (nn.ReLU6(), 6.0),
    "ReLU6 in place": (nn.ReLU6(inplace=True), 6.0),
    "F.relu6": (F.relu6, 6.0),
    "hardtanh": (nn.Hardtanh(0, 1.5), 1.5),
    "clamp": (lambda x: torch.clamp(x, 0, 1.5), 1.5),
}


def check(method, net):
    expected = net.by_hand(IMAGE, CLASSES, RULES[method])
    plain = net.by_hand(IMAGE, CLASSES, "plain")
    assert np.abs(expected - plain).max() > 0.1 * np.abs(plain).max()  # else the test would prove nothing
    got = pellucid.explain(net, IMAGE, method, CLASSES)[method]
    close(got.raw, expected)
    close(got.values, np.abs(expected).max(1))


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("activation", WRITTEN_AS.values(), ids=WRITTEN_AS)
def test_relu_however_it_is_written(method, activation):
    check(method, Rectified(activation))


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize(("activation", "ceiling"), CAPPED_AS.values(), ids=CAPPED_AS)
def test_a_ceiling(method, activation, ceiling):
    net = Rectified(activation, ceiling)
    net.conv1.weight.data.mul_(3)
    net.conv2.weight.data.mul_(3)
    with torch.no_grad():
        before = net.conv1(IMAGE)
    assert (before > ceiling).any()
    check(method, net)


OVERWRITTEN = {
    "clamp": lambda x: x.clamp(min=0),
    "clamp_": lambda x: x.clone().clamp_(min=0),
    "hardtanh": lambda x: F.hardtanh(x, 0.0, 1e9),
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
    "where": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0),
}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("first", OVERWRITTEN.values(), ids=OVERWRITTEN)
def test_what_a_rectifier_gives_may_be_overwritten(method, first):
    """As torch keeps nothing of what these give, steps in place may follow."""
    check(method, Rectified(lambda x: first(x).mul_(2).div_(2)))


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize(
    "activation", [F.relu, nn.ReLU(), nn.ReLU(inplace=True)], ids=["function", "module", "in place"]
)
def test_a_skip_around_the_relu(method, activation):
    check(method, Rectified(activation, skip=True))


@pytest.mark.parametrize("method", RULES)
def test_max_pooling_sends_signals_through_its_switches(method):
    torch.manual_seed(7)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3 * 2 * 3, 4)
    ).double()
    image = random_maps(8, (2, 2, 4, 6))
    weight, bias = numbers(net[0].weight), numbers(net[0].bias)
    before = conv(numbers(image), weight, bias)
    above = numbers(net[4].weight)[CLASSES].reshape(2, 3, 2, 3)
    below = np.zeros_like(before)
    for n, k, i, j in np.ndindex(above.shape):
        window = np.maximum(before[n, k, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2], 0)
        row, column = divmod(int(window.argmax()), 2)  # of equal values the first, as torch does
        below[n, k, 2 * i + row, 2 * j + column] = above[n, k, i, j]
    expected = conv_back(rectifier_back(below, before, RULES[method]), weight)
    close(pellucid.explain(net, image, method, CLASSES)[method].raw, expected)


def test_worked_by_hand():
    # score = 2 relu(x) - 3 relu(-x) + relu(5 x): at x = 1 the signals from above are 2, -3 and 1
    class Three(nn.Module):
        def forward(self, x):
            x = x.flatten(1)
            return 2 * F.relu(x) - 3 * F.relu(-x) + F.relu(5 * x)

    image = torch.ones(1, 1, 1, 1)
    got = {m: float(pellucid.explain(Three(), image, m, 0)[m].raw) for m in ("saliency", *RULES)}
    # plain: 2 + 5; guided: the same, relu(-x) is closed; deconvnet: the signal -3 is negative and stopped: 2 + 5
    assert got == {"saliency": 7, "guided-backprop": 7, "deconvnet": 7}
    got = {m: float(pellucid.explain(Three(), -image, m, 0)[m].raw) for m in ("saliency", *RULES)}
    # at x = -1 plain: -3 * -1 = 3; guided: stopped; deconvnet ignores what the relu saw: 2 + 5
    assert got == {"saliency": 3, "guided-backprop": 0, "deconvnet": 7}


@pytest.mark.parametrize("method", [*RULES, "guided-grad-cam"])
@pytest.mark.parametrize(("activation", "name"), [(nn.SiLU(), "silu"), (F.gelu, "gelu"), (torch.sigmoid, "sigmoid")])
def test_other_activations_are_refused_by_name(method, activation, name):
    with pytest.raises(Refused, match=rf"{method} is defined for ReLU .*this network uses {name}"):
        pellucid.explain(Rectified(activation), IMAGE, method, CLASSES)


@pytest.mark.parametrize("method", RULES)
def test_other_activations_as_plain_gradients_are_recorded(method):
    net = Rectified(F.silu)
    got = pellucid.explain(net, IMAGE, [method, "saliency"], CLASSES, options={method: {"other_activations": "plain"}})
    close(got[method].raw, numbers(got["saliency"].raw))
    assert got[method].notes == ("Treated as plain gradients: silu.",)
    assert got[method].options["other_activations"] == "plain"


@pytest.mark.parametrize("method", [*RULES, "guided-grad-cam"])
def test_a_third_choice_does_not_exist(method):
    with pytest.raises(BadOption, match=f"Expected 'refuse' or 'plain' as other_activations of {method}, got 'maybe'"):
        pellucid.explain(Rectified(F.relu), IMAGE, method, options={method: {"other_activations": "maybe"}})


def test_the_hand_written_backward_is_the_gradient():
    # the twin itself is checked once, against torch's own plain gradient
    net = Rectified(F.relu6, 6.0, skip=True)
    leaf = IMAGE.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf)[range(2), CLASSES].sum(), leaf)
    close(gradient, net.by_hand(IMAGE, CLASSES, "plain"))
    assert math.isfinite(net.ceiling)
