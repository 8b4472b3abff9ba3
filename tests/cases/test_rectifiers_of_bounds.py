"""max(x, 0) written with bounds and masks, under the rules that hand out shares."""

import pytest
import torch
from torch import nn

import pellucid
from pellucid.errors import Refused


class Written(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


IMAGE = torch.randn(1, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
METHODS = ["lrp", "excitation-backprop", "deep-lift"]
FORMS = {
    "fmax": lambda x: torch.fmax(x, torch.zeros_like(x)),
    "fmax, zero first": lambda x: torch.fmax(x.new_zeros(()), x),
    "fmax by name": lambda x: torch.fmax(input=x, other=x.new_zeros(1)),
    "clamp between tensors": lambda x: x.clamp(torch.zeros_like(x), torch.full_like(x, 1e6)),
    "where": lambda x: torch.where(x > 0, x, 0),
    "where of zeros": lambda x: torch.where(x <= 0, torch.zeros_like(x), x),
    "where of a value": lambda x: x.where(x > 0, x.new_zeros(())),
    "masked fill": lambda x: x.masked_fill(x < 0, 0),
}


def explained(function, methods):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 2), Written(function), nn.Flatten(), nn.Linear(8, 2)).double().eval()
    return pellucid.explain(net, IMAGE, methods, 1)


@pytest.fixture(scope="module")
def of_torch():
    return explained(torch.relu, METHODS)


@pytest.mark.parametrize("form", FORMS)
def test_a_rectifier_of_bounds_or_masks_is_one(form, of_torch):
    found = explained(FORMS[form], METHODS)
    for method in METHODS:
        torch.testing.assert_close(found[method].raw, of_torch[method].raw)


@pytest.mark.parametrize(
    ("form", "method"),
    [
        (lambda x: torch.fmax(x, torch.ones_like(x)), "lrp"),
        (lambda x: x.clamp(torch.zeros_like(x), x.new_tensor([0.1, 0.2])), "lrp"),
        (lambda x: torch.where(x > 0, x, 0.1 * x), "deep-lift"),
        (lambda x: torch.where(x > 0.5, x, 0), "deep-lift"),
    ],
)
def test_what_is_only_like_one_is_refused(form, method):
    with pytest.raises(Refused, match="has no rule for"):
        explained(form, [method])
