"""Activations and norms by hand are the same with the second names of torch, such as `multiply` for `mul`."""

import pytest
import torch
from torch.nn import functional as F

import pellucid
from one_activation import OneActivation, assert_guided_as_without_rectifier
from pellucid.errors import Refused


def net_and_image(activation):
    return OneActivation(activation, channels=4, classes=2), torch.randn(1, 3, 6, 5, dtype=torch.float64)


@pytest.mark.parametrize(
    "activation", [lambda x: x.multiply(F.relu(x)), lambda x: torch.multiply(F.relu(x), x), lambda x: x * F.relu(x)]
)
def test_a_value_times_its_own_rectifier_is_none_in_any_spelling(activation):
    with pytest.raises(Refused, match="a value times its own rectifier"):
        pellucid.explain(*net_and_image(activation), "guided-backprop", 1)


@pytest.mark.parametrize(
    "norm",
    [
        lambda x: torch.true_divide(x, x.absolute().sum(1, keepdim=True)),
        lambda x: x.divide(torch.sqrt(torch.multiply(x, x).mean(1, keepdim=True).add(1e-5))),
        lambda x: torch.concat([x[:, 2:], x[:, :2]], 1).divide(x.square().sum(1, keepdim=True).sqrt()),
    ],
)
def test_norms_are_no_activations_in_any_spelling(norm):
    assert_guided_as_without_rectifier(*net_and_image(norm))
