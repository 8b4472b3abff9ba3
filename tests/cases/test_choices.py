"""Choices that Python makes by values of the picture, under the rules for rectifiers."""

import math

import pytest
import torch
from torch import nn

import pellucid
from pellucid.errors import Refused

METHODS = ["guided-backprop", "deconvnet"]
IMAGE = torch.tensor([1.0, -0.5, 0.8, -1.2], dtype=torch.float64).reshape(1, 1, 2, 2)


class Net(nn.Module):
    """Two dense layers with an activation of three values between them, and experts to choose from."""

    def __init__(self, activation):
        super().__init__()
        torch.manual_seed(3)
        self.activation, self.first, self.last = activation, nn.Linear(4, 3), nn.Linear(3, 2)
        self.gates = nn.Linear(3, 2)
        self.experts = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.double().eval()

    def forward(self, x):
        return self.last(self.activation(self, self.first(x.flatten(1))))


def explained(activation, methods=METHODS, **more):
    return pellucid.explain(Net(activation), IMAGE, methods, 1, **more)


def by_item(_, x):
    out = torch.zeros_like(x)
    for k in range(x.shape[1]):
        if x[0, k].item() > 0:
            out[0, k] = x[0, k]
    return out


def by_list(_, x):
    return torch.stack([v if f > 0 else 0 * v for v, f in zip(x[0], x[0].tolist(), strict=True)])[None]


def by_array(_, x):
    numbers = x.detach().numpy()[0]
    return torch.stack([v if f > 0 else 0 * v for v, f in zip(x[0], numbers, strict=True)])[None]


def in_place(_, x):
    x = x.clone()
    values = x.view(-1)
    for k in range(len(values)):
        if values[k] < 0:
            values[k] = 0
    return x


def by_places(_, x):
    out = torch.zeros_like(x)
    for row, column in (x > 0).nonzero().tolist():
        out[row, column] = x[row, column]
    return out


def without_gradient(_, x):
    with torch.no_grad():
        opened = [bool(v > 0) for v in x[0]]
    return torch.stack([v if f else 0.1 * v for v, f in zip(x[0], opened, strict=True)])[None]


def neuron_by_neuron(net, x):
    values = [(weights * x[0]).sum() for weights in net.gates.weight]
    return x + torch.stack([v if v > 0 else 0 * v for v in values]).sum()


def by_count(_, x):
    """Told the places of another picture, it does not fit together any more."""
    live = [x[0, place] for place in (x[0] > -0.5).nonzero().flatten().tolist()]
    return torch.stack([*live, *x.new_zeros(len((x[0] <= -0.5).nonzero()))])[None]


@pytest.mark.parametrize(
    "activation", [by_item, by_list, by_array, in_place, by_places, by_count, without_gradient, neuron_by_neuron]
)
def test_a_rectifier_that_python_makes_is_named(activation):
    """torch sees no rectifier, so what would come out is the plain gradient under the rule's name."""
    with pytest.raises(Refused, match="a choice in Python"):
        explained(activation)


def test_it_is_noted_where_other_activations_may_be_plain():
    found = explained(by_list, METHODS[:1], options={METHODS[0]: {"other_activations": "plain"}})[METHODS[0]]
    leaf = IMAGE.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(Net(by_list)(leaf)[0, 1], leaf)
    torch.testing.assert_close(found.raw, gradient)
    assert "a choice in Python" in " ".join(found.notes)


def relevance(activation):
    return explained(activation, "lrp")["lrp"].raw


def test_relevance_passes_through_a_choice_as_through_a_relu():
    torch.testing.assert_close(relevance(by_list), relevance(lambda _, x: x.relu()))


def checked(_, x):
    assert torch.isfinite(x).all() and all(map(math.isfinite, x[0].tolist()))
    return x.relu()


def scaled(_, x):
    return x.relu() / 2 if x.abs().max() > 1e-3 else x.relu()


def clipped(_, x):
    return x.relu() / x.norm() if x.norm() > 0.1 else x.relu()


def expert(net, x):
    return x.relu() * net.experts[net.gates(x).argmax().item()]


def weighed_expert(net, x):
    weights, numbers = net.gates(x).softmax(1).topk(1)
    return x.relu() * net.experts[numbers.tolist()[0][0]] * weights[0, 0]


def early_end(net, x):
    return x.relu() if net.gates(x)[0, 0] > 0 else x.relu() * 1


SAME = {  # the network with its choices made in advance
    checked: lambda net, x: x.relu(),
    scaled: lambda net, x: x.relu() / 2,
    clipped: lambda net, x: x.relu() / x.norm(),
    expert: lambda net, x: x.relu() * net.experts[int(net.gates(net.first(IMAGE.flatten(1))).argmax())],
    weighed_expert: lambda net, x: (
        x.relu()
        * net.experts[int(net.gates(net.first(IMAGE.flatten(1))).argmax())]
        * net.gates(x).softmax(1).topk(1).values[0, 0]
    ),
    early_end: lambda net, x: x.relu(),
}


@pytest.mark.parametrize("form", SAME)
def test_choices_that_are_no_activations_are_not_named(form):
    found, expected = explained(form), explained(SAME[form])
    for method in METHODS:
        torch.testing.assert_close(found[method].raw, expected[method].raw)
        assert found[method].notes == expected[method].notes
