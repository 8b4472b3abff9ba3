"""Operations are known by what they do: activations written by hand under guided backprop and DeconvNet."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
from one_activation import METHODS, OneActivation, assert_guided_as_without_rectifier, by_hand
from pellucid.errors import Refused


def in_place(x):
    x[x < 0] = 0
    return x


def in_place_on_a_view(x):
    flat = x.view(-1)
    flat[flat < 0] = 0
    return x


RECTIFIERS = {
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "times its mask": lambda x: x * (x > 0),
    "times its mask as numbers": lambda x: x * x.gt(0).type_as(x),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0),
    "masked_fill_": lambda x: x.masked_fill_(x < 0, 0),
    "half of x and its size": lambda x: (x + x.abs()) / 2,
    "half of x and its root": lambda x: (x + torch.sqrt(x**2)) / 2,
    "fmax": lambda x: torch.fmax(x, torch.zeros(())),
    "amax of a stack": lambda x: torch.stack([x, torch.zeros_like(x)]).amax(0),
    "max of a stack": lambda x: torch.stack([x, torch.zeros_like(x)]).max(0).values,
    "index put": in_place,
    "index put on a view": in_place_on_a_view,
    "nan_to_num": lambda x: torch.nan_to_num(torch.where(x > 0, x, math.nan)),
    "clamp with one bound per channel": lambda x: torch.clamp(x, min=torch.zeros(8, 1, 1)),
    "sign": lambda x: x * (torch.sign(x) + 1) / 2,
    "heaviside": lambda x: x * torch.heaviside(x, torch.zeros((), dtype=x.dtype)),
    "negative minimum": lambda x: -torch.minimum(-x, torch.zeros(())),
}
CAPPED = {
    "where twice": lambda x: torch.where(x > 0.5, 0.5, torch.where(x > 0, x, 0.0)),
    "minimum of a relu": lambda x: torch.minimum(x.relu(), torch.tensor(0.5)),
    "clamp with tensors": lambda x: x.clamp(torch.zeros(()), torch.tensor(0.5)),
    "difference of two": lambda x: F.relu(x) - F.relu(x - 0.5),
}
FORMS = {**{n: (f, math.inf) for n, f in RECTIFIERS.items()}, **{n: (f, 0.5) for n, f in CAPPED.items()}}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", FORMS)
def test_f7_s6_c13_rectifiers_written_by_hand(form, method):
    activation, ceiling = FORMS[form]
    net, image = OneActivation(activation), 2 * torch.randn(2, 3, 9, 8, dtype=torch.float64)
    found = pellucid.explain(net, image, method, 1)[method]
    torch.testing.assert_close(found.raw.double(), by_hand(net, image, method, ceiling), rtol=1e-6, atol=1e-8)
    assert not found.notes


@pytest.mark.parametrize("form", ["clamp with one bound per channel", "clamp_min"])
def test_c13_lrp_takes_a_bound_of_zeros_for_a_relu(form):
    activation = RECTIFIERS.get(form, lambda x: x.clamp_min(torch.zeros(())))
    image = torch.randn(1, 3, 9, 8, dtype=torch.float64)
    found, expected = (pellucid.explain(OneActivation(f), image, "lrp", 1)["lrp"].raw for f in (activation, torch.relu))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_what_to_do_about_a_last_softmax_is_said_for_the_command_line_too():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax(1))
    with pytest.raises(Refused, match=r"wrap\(module, call=\.\.\.\).*--model FILE\.py:FACTORY\. Use") as found:
        pellucid.explain(net, torch.rand(1, 3, 8, 8), "full-grad", 0)
    assert len(str(found.value)) < 400


OTHERS = {  # what the message must name
    "erf": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
    "where": lambda x: torch.where(x > 0, x, 0.1 * x),
    "clamp": lambda x: x.clamp(-0.2, 0.3),
    "log": lambda x: torch.log(1 + torch.exp(x)),
    "abs": torch.abs,
    "pow": lambda x: x**2,
    "sin": torch.sin,
    "erf ": lambda x: x + 0.5 * x * (1 + torch.erf(x)),
    "own rectifier": lambda x: x * F.relu6(x + 3) / 6,
    "choice by values": lambda x: torch.where(x > x.roll(1, 1), x, x.roll(1, 1)),
    "choice by values (mul)": lambda x: x * (x.roll(1, 1) > 0),
    "clamp at 0": lambda x: x.clamp(min=torch.arange(8.0)[:, None, None]),
    "abs ": lambda x: x.abs().mean((2, 3), keepdim=True) + 0 * x,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", OTHERS)
def test_f7_other_activations_written_by_hand_are_named(name, method):
    image = torch.randn(1, 3, 9, 8, dtype=torch.float64)
    with pytest.raises(Refused, match=name.strip().replace("(", r"\(").replace(")", r"\)")):
        pellucid.explain(OneActivation(OTHERS[name]), image, method, 1)
    options = {method: {"other_activations": "plain"}}
    found = pellucid.explain(OneActivation(OTHERS[name]), image, method, 1, options=options)[method]
    assert name.strip() in found.notes[0]


NO_ACTIVATIONS = {
    "root mean square": lambda x: x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6),
    "softmax": lambda x: torch.exp(x - x.amax(1, keepdim=True)) / torch.exp(x - x.amax(1, keepdim=True)).sum(1, True),
    "variance": lambda x: (x - x.mean(1, True)) / torch.sqrt((x - x.mean(1, True)).pow(2).mean(1, True) + 1e-5),
    "variance as a difference": lambda x: x / torch.sqrt((x * x).mean(1, True) - x.mean(1, True) ** 2 + 1e-5),
    "sum of sizes": lambda x: x / x.abs().sum(1, keepdim=True),
    "normalize": F.normalize,
    "constant mask": lambda x: x * (torch.arange(8) > 3)[:, None, None],
    "LPPool2d": nn.LPPool2d(2, 2),
}


@pytest.mark.parametrize("form", NO_ACTIVATIONS)
def test_norms_masks_and_lp_pooling_are_no_activations(form):
    net, image = OneActivation(NO_ACTIVATIONS[form]), torch.rand(1, 3, 9, 8, dtype=torch.float64)
    assert_guided_as_without_rectifier(net, image)


PARTLY_HIDDEN = {
    "behind a rectifier": lambda x: F.relu(x) + 0.3 * F.relu(x).detach(),
    "in one written by hand": lambda x: x * (x > 0) + 0.3 * (x * (x > 0)).detach(),
    "by no_grad": lambda x: F.relu(x) + without_gradient(F.relu, x),
}


def without_gradient(function, x):
    with torch.no_grad():
        return function(x)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", PARTLY_HIDDEN)
def test_what_is_hidden_from_the_gradient_is_no_part_of_a_rectifier(form, method):
    """max(x, 0) and a constant to the graph that doubles its values or so: the signal is that of max(x, 0) alone."""
    net, image = OneActivation(PARTLY_HIDDEN[form]), torch.randn(1, 3, 9, 8, dtype=torch.float64)
    found = pellucid.explain(net, image, method, 1)[method].raw.double()
    torch.testing.assert_close(found, by_hand(net, image, method, activation=net.activation), rtol=1e-6, atol=1e-8)


PARTS = {  # ways to write the same function of x, from parts that any of them may take
    "relu": lambda x, f: f(x),
    "mirrored": lambda x, f: -(x - f(x)) + x,
    "twice": lambda x, f: f(f(x)),
    "scaled": lambda x, f: f(3 * x) / 3,
    "negated": lambda x, f: x + f(-x),
    "masked": lambda x, f: torch.where(x < 0, f(x) * 0, x),
}


@pytest.mark.parametrize("seed", range(6))
def test_rectifiers_composed_at_random(seed):
    """x + max(-x, 0) = max(x, 0), and so on: whatever is written, the map is that of the function."""
    generator = torch.Generator().manual_seed(seed)
    forms = [f for name, f in RECTIFIERS.items() if "index" not in name and not name.endswith("_")]
    inner, outer = (int(torch.randint(n, (), generator=generator)) for n in (len(forms), len(PARTS)))
    part = list(PARTS.values())[outer]
    net = OneActivation(lambda x: part(x, forms[inner]), seed)
    image = torch.randn(1, 3, 9, 8, dtype=torch.float64)
    for method in METHODS:
        found = pellucid.explain(net, image, method, 1)[method].raw.double()
        torch.testing.assert_close(found, by_hand(net, image, method), rtol=1e-6, atol=1e-8)


def test_a_network_that_was_plain_before_is_followed_again_when_it_changes():
    net, image = OneActivation(torch.relu), torch.randn(1, 3, 9, 8, dtype=torch.float64)
    expected = by_hand(net, image, "guided-backprop")
    for form in (torch.relu, RECTIFIERS["where"], torch.relu, RECTIFIERS["times its mask"]):
        net.activation = form
        found = pellucid.explain(net, image, "guided-backprop", 1)["guided-backprop"]
        torch.testing.assert_close(found.raw.double(), expected, rtol=1e-6, atol=1e-8)
    net.activation = lambda x: x.clamp(0, 0.5)
    pellucid.explain(net, image, "guided-backprop", 1)
    net.activation = lambda x: x.clamp(-0.5, 0.5)
    with pytest.raises(Refused, match="clamp"):
        pellucid.explain(net, image, "guided-backprop", 1)
