"""Guided backprop and DeconvNet against a network written with custom autograd functions, for every way to rectify."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from pellucid.capture.backward_rules import Rectifiers
from pellucid.capture.backward_rules.relu import other_activations
from pellucid.capture.operators import nodes
from pellucid.errors import Refused

OUT_OF_PLACE = {  # name: (activation, ceiling)
    "nn.ReLU": (nn.ReLU(), math.inf),
    "F.relu": (F.relu, math.inf),
    "torch.relu": (torch.relu, math.inf),
    "Tensor.relu": (lambda x: x.relu(), math.inf),
    "keyword": (lambda x: F.relu(input=x), math.inf),
    "Tensor.clamp(min=0)": (lambda x: x.clamp(min=0), math.inf),
    "torch.clamp(x, 0)": (lambda x: torch.clamp(x, 0), math.inf),
    "Tensor.clip(0.0)": (lambda x: x.clip(0.0), math.inf),
    "Tensor.clamp_min": (lambda x: x.clamp_min(0), math.inf),
    "nn.Threshold(0, 0)": (nn.Threshold(0, 0), math.inf),
    "nn.ReLU6": (nn.ReLU6(), 6.0),
    "F.relu6": (F.relu6, 6.0),
    "nn.Hardtanh(0, 0.5)": (nn.Hardtanh(0, 0.5), 0.5),
    "F.hardtanh(0, 0.5)": (lambda x: F.hardtanh(x, 0.0, 0.5), 0.5),
    "Tensor.clamp(0, 0.5)": (lambda x: x.clamp(0, 0.5), 0.5),
    "torch.maximum": (lambda x: torch.maximum(x, torch.zeros(())), math.inf),
    "Tensor.clamp(tensor)": (lambda x: x.clamp(min=torch.zeros(())), math.inf),
    "torch.ops.aten.relu": (torch.ops.aten.relu, math.inf),
    "minimum": (lambda x: -torch.minimum(-x, torch.zeros(())), math.inf),
    "clamp(max=0)": (lambda x: -(-x).clamp(max=0), math.inf),
    "where": (lambda x: torch.where(x > 0, x, 0.0), math.inf),
    "masked_fill": (lambda x: x.masked_fill(x < 0, 0), math.inf),
}
IN_PLACE = {
    "nn.ReLU(inplace)": (nn.ReLU(inplace=True), math.inf),
    "F.relu(inplace)": (lambda x: F.relu(x, inplace=True), math.inf),
    "F.relu_": (F.relu_, math.inf),
    "torch.relu_": (torch.relu_, math.inf),
    "Tensor.relu_": (lambda x: x.relu_(), math.inf),
    "Tensor.clamp_": (lambda x: x.clamp_(min=0), math.inf),
    "Tensor.clamp_min_": (lambda x: x.clamp_min_(0), math.inf),
    "nn.ReLU6(inplace)": (nn.ReLU6(inplace=True), 6.0),
    "nn.Hardtanh(0, 0.5, inplace)": (nn.Hardtanh(0, 0.5, inplace=True), 0.5),
    "F.hardtanh_": (lambda x: F.hardtanh_(x, 0.0, 0.5), 0.5),
}
FORMS = {**OUT_OF_PLACE, **IN_PLACE}
METHOD = {"guided": "guided-backprop", "deconvnet": "deconvnet"}

every_rule = pytest.mark.parametrize("rule", METHOD)


def reference(rule, ceiling=math.inf):
    """The rule straight from the papers."""

    class Rule(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.minimum(torch.maximum(x, torch.zeros_like(x)), torch.full_like(x, ceiling))

        @staticmethod
        def backward(ctx, signal):
            (x,) = ctx.saved_tensors
            passes = (x > 0) & (x < ceiling) if rule == "guided" else torch.ones_like(x, dtype=torch.bool)
            return torch.where(passes & (signal > 0), signal, torch.zeros_like(signal))

    return Rule.apply


def gradient(net, image, target=0):
    leaf = image.clone().requires_grad_()
    return torch.autograd.grad(net(leaf)[:, target].sum(), leaf)[0]


def explain(net, image, rule, **options):
    method = METHOD[rule]
    return pellucid.explain(net, image, method, 0, options={method: options})[method]


class InPlaceSkipReference(tiny.Skip):
    def forward(self, x):
        z = self.act(self.conv1(x))
        return self.fc((z + self.conv2(z)).mean((2, 3)))


@every_rule
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_rectifier(form, rule):
    act, ceiling = FORMS[form]
    image = tiny.images() * 2
    found = explain(tiny.build(tiny.Plain, act), image, rule).raw
    torch.testing.assert_close(found, gradient(tiny.build(tiny.Plain, reference(rule, ceiling)), image))
    assert not torch.allclose(found, gradient(tiny.build(tiny.Plain, act), image))


@every_rule
@pytest.mark.parametrize("form", OUT_OF_PLACE)
@pytest.mark.parametrize("make", [tiny.Skip, tiny.Reused], ids=["skip", "reused"])
def test_skips_and_reuse(make, form, rule):
    act, ceiling = FORMS[form]
    image = tiny.images() * 2
    expected = gradient(tiny.build(make, reference(rule, ceiling)), image)
    torch.testing.assert_close(explain(tiny.build(make, act), image, rule).raw, expected)


@every_rule
@pytest.mark.parametrize("form", IN_PLACE)
def test_in_place_rectifier_whose_input_is_the_skip(form, rule):
    act, ceiling = FORMS[form]
    image = tiny.images() * 2
    expected = gradient(tiny.build(InPlaceSkipReference, reference(rule, ceiling)), image)
    torch.testing.assert_close(explain(tiny.build(tiny.InPlaceSkip, act), image, rule).raw, expected)


class Viewed(nn.Module):
    """Rectifies a view of its input in place."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        if self.kind == "flatten":
            x.flatten(1).relu_()
        if self.kind == "two slices":
            x[:, :4].relu_()
            x[:, 4:].relu_()
        if self.kind == "transpose":
            return x.transpose(1, 2).relu().transpose(1, 2)
        return x


@every_rule
@pytest.mark.parametrize(
    "kind",
    [
        "flatten",
        "transpose",
        pytest.param("two slices"),
    ],
)
def test_views(kind, rule):
    expected = gradient(tiny.build(tiny.Plain, reference(rule)), tiny.images())
    torch.testing.assert_close(explain(tiny.build(tiny.Plain, Viewed(kind)), tiny.images(), rule).raw, expected)


@pytest.mark.parametrize("form", FORMS)
def test_plain_rule_is_the_gradient_exactly(form):
    act, _ = FORMS[form]
    points = torch.tensor([-1.0, -0.0, 0.0, 1e-30, 0.25, 0.5, 0.75, 6.0, 7.0], dtype=torch.float64)

    def run(context):
        leaf = points.clone().requires_grad_()
        with context:
            out = act(leaf * 1)
        return out.detach(), torch.autograd.grad(out, leaf, torch.arange(1, 10).double())[0]

    with_rules, without = run(Rectifiers()), run(torch.enable_grad())
    assert torch.equal(with_rules[0], without[0])
    assert torch.equal(with_rules[1], without[1])


def scripted():
    net = tiny.build(tiny.Plain)
    net.act1 = torch.jit.script(nn.ReLU())
    return net


OTHERS = {  # name in the message: network
    "gelu": lambda: tiny.build(tiny.Plain, nn.GELU()),
    "silu": lambda: tiny.build(tiny.Plain, F.silu),
    "sigmoid": lambda: tiny.build(tiny.Gate),
    "hardswish": lambda: tiny.build(tiny.Plain, nn.Hardswish()),
    "leaky_relu": lambda: tiny.build(tiny.Plain, nn.LeakyReLU()),
    "prelu": lambda: tiny.build(tiny.Plain, nn.PReLU()),
    "elu": lambda: tiny.build(tiny.Plain, nn.ELU()),
    "tanh": lambda: tiny.build(tiny.Plain, torch.tanh),
    "softplus": lambda: tiny.build(tiny.Plain, nn.Softplus()),
    "hardtanh with a floor": lambda: tiny.build(tiny.Plain, nn.Hardtanh()),
    "maximum": lambda: tiny.build(tiny.Plain, lambda x: torch.maximum(x, x.roll(1, 1))),
    "clamp at 0": lambda: tiny.build(tiny.Plain, lambda x: x.clamp(min=torch.arange(x.shape[1]).to(x)[:, None, None])),
    "the custom function MyReLU": lambda: tiny.build(tiny.Plain, tiny.MyReLU.apply),
}


@every_rule
@pytest.mark.parametrize("name", OTHERS)
def test_other_activations_are_refused_by_name(name, rule):
    with pytest.raises(Refused, match=name):
        explain(OTHERS[name](), tiny.images(), rule)


script_warnings = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::DeprecationWarning")


@script_warnings
def test_torchscript_is_refused_by_name():
    with pytest.raises(Refused, match=r"TorchScript|hidden from Python"):
        explain(scripted(), tiny.images(), "guided")


@pytest.mark.parametrize("methods", [["saliency", "grad-cam"], ["occlusion"]], ids=str)
@pytest.mark.parametrize("whole", [False, True], ids=["part", "whole"])
@script_warnings
def test_torchscript_is_explained_by_other_methods(whole, methods):
    net = torch.jit.script(tiny.build(tiny.Pooled)) if whole else scripted()
    plain = pellucid.explain(tiny.build(tiny.Pooled if whole else tiny.Plain), tiny.images(), methods)
    if whole and "grad-cam" in methods:
        with pytest.raises(pellucid.PellucidError):
            pellucid.explain(net, tiny.images(), methods)
        return
    for a in pellucid.explain(net, tiny.images(), methods):
        torch.testing.assert_close(a.raw, plain[a.method.id].raw)


@every_rule
def test_plain_on_request_is_recorded(rule):
    net = tiny.build(tiny.Plain, nn.GELU())
    found = explain(net, tiny.images(), rule, other_activations="plain")
    torch.testing.assert_close(found.raw, gradient(net, tiny.images()))
    assert found.options["other_activations"] == "plain"
    assert any("gelu" in note for note in found.notes)


@pytest.mark.parametrize(
    "act", [lambda x: F.max_pool2d(x, 2), lambda x: x * 2, lambda x: x.clamp(-1, 1)], ids=["pool", "scale", "clamp"]
)
def test_what_is_no_activation_is_not_named(act):
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    assert not other_activations(nodes(act(x).sum()))


def test_the_rule_is_back_to_plain_afterwards():
    rules = Rectifiers()
    with pytest.raises(KeyError), rules.use("guided"):
        raise KeyError
    assert rules.rule == "plain"
