"""Circular padding, and masks that no picture decides, under rules that go through a network operation by operation."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid

METHODS = ("lrp", "deep-lift", "full-grad")


class Wrapped(nn.Module):
    """A convolution whose borders see each other, padded in one of several ways."""

    def __init__(self, how):
        super().__init__()
        torch.manual_seed(3)
        self.how, self.conv, self.head = how, nn.Conv2d(2, 4, 3), nn.Linear(4, 3)
        self.inside = nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")
        self.inside.load_state_dict(self.conv.state_dict())

    def forward(self, x):
        if self.how == "layer":
            y = self.inside(x)
        elif self.how == "pad":
            y = self.conv(F.pad(x, (1, 1, 1, 1), mode="circular"))
        else:
            x = torch.cat([x[..., -1:], x, x[..., :1]], -1)
            y = self.conv(torch.cat([x[..., -1:, :], x, x[..., :1, :]], -2))
        return self.head(y.relu().mean((2, 3)))


class Masked(nn.Module):
    def __init__(self, how):
        super().__init__()
        torch.manual_seed(4)
        self.how, self.conv, self.head = how, nn.Conv2d(2, 4, 3), nn.Linear(4, 3)
        self.register_buffer("away", torch.rand(1, 1, 5, 6) < 0.4)

    def forward(self, x):
        y = self.conv(x)
        y = y.masked_fill(self.away, 0.0) if self.how == "fill" else y * (~self.away)
        return self.head(y.relu().mean((2, 3)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("kind", "how", "same"), [(Wrapped, "layer", "cat"), (Wrapped, "pad", "cat"), (Masked, "fill", "product")]
)
def test_written_in_one_call_or_by_hand(kind, how, same, method):
    torch.manual_seed(5)
    image = torch.rand(2, 2, 7, 8, dtype=torch.float64)
    one, other = (pellucid.explain(kind(form).double(), image, method, 1)[method] for form in (how, same))
    torch.testing.assert_close(one.raw, other.raw, rtol=1e-9, atol=1e-12)
    assert float(one.raw.abs().max()) > 0


def test_a_mask_that_the_picture_decides_is_no_constant():
    class Chosen(Masked):
        def forward(self, x):
            y = self.conv(x)
            return self.head(y.masked_fill(x[:, :1, 1:-1, 1:-1] > 0.5, 0.0).relu().mean((2, 3)))

    with pytest.raises(pellucid.PellucidError, match="no rule for maskedfill"):
        pellucid.explain(Chosen("").double(), torch.rand(1, 2, 7, 8, dtype=torch.float64), "deep-lift", 1)
