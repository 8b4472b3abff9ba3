"""Weights in question are substituted for a pass: the same numbers as a network that really has them, and no trace."""

import copy

import pytest
import torch
from test_contract import HOME, METHODS, QUICK, REFUSED, differences, trace
from torch import nn

import pellucid
import tiny
from pellucid.capture.running import (
    Draws,
    checked_weights,
    drawn_weights,
    guarded,
    outputs,
    substituted,
    weighted_layers,
)
from pellucid.capture.running.weights import ROOT
from pellucid.errors import Refused

IMAGE = tiny.images(2)


def layers_of(net, image=IMAGE):
    with guarded(net):
        return weighted_layers(pellucid.wrap(net), image)


def with_drawn(net, seed=0):
    """A model whose passes take drawn weights, and a network that has them."""
    model = pellucid.wrap(net)
    other, substitution = substituted(model)
    substitution.tensors = drawn_weights(model, layers_of(net), Draws(seed))
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for name, tensor in substitution.tensors.items():
            twin.get_parameter(name).copy_(tensor)
    return other, twin


@pytest.mark.parametrize("method", METHODS)
def test_every_method_sees_the_other_weights_alone(method):
    net = tiny.build(HOME[method])
    other, twin = with_drawn(net)
    before = trace(net, IMAGE)
    options = {method: QUICK[method]} if method in QUICK else {}
    found = pellucid.explain(other, IMAGE, method, target=[4, 0], options=options)[method]
    assert differences(before, trace(net, IMAGE)) == []
    expected = pellucid.explain(twin, IMAGE, method, target=[4, 0], options=options)[method]
    torch.testing.assert_close(found.values, expected.values, rtol=1e-9, atol=1e-12)
    if bool((expected.values != 0).any()):
        own = pellucid.explain(net, IMAGE, method, target=[4, 0], options=options)[method]
        assert not torch.allclose(own.values, expected.values)


def test_no_method_is_left_out():
    assert REFUSED.keys() >= {("tokens", "cam")}
    assert set(METHODS) == set(pellucid.methods())


class Backwards(nn.Module):
    """Modules are called in another order than they are listed in; one weight is no module's, one module is unused."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.head, self.body, self.unused = (
            nn.Linear(4, 3),
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()),
            nn.Linear(2, 2),
        )
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        y = self.body(x).flatten(2).transpose(1, 2)[:, :9]
        return self.head(self.attention(y, y, y)[0].mean(1)) * self.scale


def test_layers_come_in_the_order_of_the_pass():
    net = tiny.build(Backwards)
    found = layers_of(net)
    assert list(found) == [ROOT, "unused", "body.0", "attention", "attention.out_proj", "head"]
    assert found["attention"] == ("attention.in_proj_weight", "attention.in_proj_bias")
    assert {name for names in found.values() for name in names} == {name for name, _ in net.named_parameters()}


def test_draws_have_the_mean_and_deviation_of_what_they_replace():
    net = nn.Linear(300, 200).requires_grad_(False)
    with torch.no_grad():
        net.weight.mul_(3).add_(0.7)
        net.bias.fill_(2.0)
    drawn = drawn_weights(pellucid.wrap(net), {"": ("weight", "bias")}, Draws(0))
    assert float(drawn["weight"].mean()) == pytest.approx(float(net.weight.mean()), abs=0.01)
    assert float(drawn["weight"].std()) == pytest.approx(float(net.weight.std()), rel=0.02)
    assert torch.equal(drawn["bias"], net.bias.detach()), "constants have no deviation"
    assert abs(float(torch.corrcoef(torch.stack([drawn["weight"].flatten(), net.weight.flatten()]))[0, 1])) < 0.02
    again = drawn_weights(pellucid.wrap(net), {"": ("weight",)}, Draws(0))
    assert torch.equal(again["weight"], drawn["weight"])
    assert not torch.equal(drawn_weights(pellucid.wrap(net), {"": ("weight",)}, Draws(1))["weight"], drawn["weight"])


def test_models_that_are_run_in_their_own_way():
    net = tiny.build(tiny.Plain)
    model = pellucid.wrap(net, call=lambda module, x: module(x) * 2)
    other, substitution = substituted(model)
    substitution.tensors = {"fc.weight": torch.zeros_like(net.fc.weight)}
    with guarded(net):
        torch.testing.assert_close(outputs(other, IMAGE), (2 * net.fc.bias).expand(2, -1))
        torch.testing.assert_close(outputs(model, IMAGE), 2 * net(IMAGE))


def test_tied_weights_stay_tied():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x.flatten(1)[:, :4]))

    net = tiny.build(Tied)
    other, substitution = substituted(pellucid.wrap(net))
    substitution.tensors = {"first.weight": 2 * torch.eye(4, dtype=torch.float64)}
    with guarded(net):
        torch.testing.assert_close(outputs(other, IMAGE), 4 * IMAGE.flatten(1)[:, :4])


def test_weights_from_elsewhere():
    net, source = tiny.build(tiny.Pooled), tiny.build(tiny.Pooled)
    with torch.no_grad():
        source.fc.weight.mul_(-1)
        source.features[1].running_mean.add_(1)
    other, substitution = substituted(pellucid.wrap(net))
    substitution.tensors = checked_weights(other, {k: v.float() for k, v in source.state_dict().items()}, "a file")
    with guarded(net):
        torch.testing.assert_close(outputs(other, IMAGE), source(IMAGE), rtol=1e-5, atol=1e-6)
    for strange in ({}, {"x": torch.zeros(1)}, {**source.state_dict(), "fc.weight": torch.zeros(2, 2)}):
        with pytest.raises(Refused, match="in a file are not those of"):
            checked_weights(pellucid.wrap(net), strange, "a file")


def test_networks_without_weights_are_refused():
    with pytest.raises(Refused, match="has no weights"):
        layers_of(nn.Sequential(nn.ReLU(), nn.Flatten()))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_weights_outside_python_are_refused():
    scripted = nn.Sequential(torch.jit.script(nn.Conv2d(3, 2, 3)), nn.Flatten())
    with pytest.raises(Refused, match="TorchScript"):
        layers_of(scripted)
