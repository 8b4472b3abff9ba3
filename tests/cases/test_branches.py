"""Networks that choose one way for all rows of a batch, by values that Python reads: only some pictures show it."""

import pytest
import torch
from torch import nn

import pellucid

IMAGE = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


class Branching(nn.Module):
    """Ends early where `sure` says so of the scores so far; alike, row by row."""

    def __init__(self, sure, *, by_row=False):
        super().__init__()
        torch.manual_seed(1)
        self.sure, self.by_row = sure, by_row
        self.a, self.b, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)
        self.double().eval()

    def forward(self, x):
        if self.by_row:
            return torch.cat([self.run(row[None]) for row in x])
        return self.run(x)

    def run(self, x):
        y = self.a(x).relu()
        scores = self.head(y.mean((2, 3)))
        return scores if self.sure(scores[:, 1]) else self.head(self.b(y).relu().mean((2, 3)))


def early(scores):
    """The middle of where the pictures of a method's passes end up, so that some of a batch would end early."""
    return scores.min() < EDGE


def by_number(scores):
    return scores.min().item() < EDGE


def settled(scores):
    steps = 0
    while (scores.min() < EDGE + 0.001 * steps) and steps < 3:
        steps += 1
    return steps > 1


with torch.no_grad():
    _net = Branching(lambda _: True)
    EDGE = float(_net(IMAGE)[0, 1]) - 0.001


@pytest.mark.parametrize("sure", [early, by_number, settled])
@pytest.mark.parametrize("method", ["occlusion", "integrated-gradients"])
def test_a_choice_for_a_whole_batch_does_not_change_a_map(sure, method):
    """What each changed picture gets alone is the answer."""
    options = {"occlusion": {"window": 2}, "integrated-gradients": {"steps": 8}}[method]
    found, expected = (
        pellucid.explain(Branching(sure, by_row=by_row), IMAGE, method, 1, options={method: options})
        for by_row in (False, True)
    )
    torch.testing.assert_close(found[method].raw, expected[method].raw)
    assert "values that Python reads" in " ".join(found.notes)


def checked(scores):
    assert torch.isfinite(scores).all()
    if scores.isnan().any():
        raise ValueError("not a number")
    return False


def test_checks_are_no_choices():
    assert not pellucid.explain(Branching(checked), IMAGE, "saliency", 1).notes
