"""Neighbours of the known cases, found when their reproductions were run once more."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional as F

import pellucid
import tiny


@dataclass(slots=True)
class Tally:
    passes: int
    seen: list[float]


class Sealed:
    __slots__ = ("__hidden", "first", "gone", "later")

    def __init__(self):
        self.__hidden, self.first, self.gone = 0, torch.zeros(1), "here"

    def note(self):
        self.__hidden, self.later = self.__hidden + 1, True
        self.first.add_(1)
        if hasattr(self, "gone"):
            del self.gone

    def held(self):
        return self.__hidden, self.first.item(), hasattr(self, "gone"), hasattr(self, "later")


class Named(list):
    """A container that has attributes besides what it contains."""


class Remembers(tiny.Pooled):
    """Keeps what it saw in objects without a dictionary of attributes, and in those of containers."""

    def __init__(self):
        super().__init__()
        self.tally, self.sealed, self.names = Tally(0, []), Sealed(), Named()
        self.names.last = None

    def forward(self, x):
        self.tally.passes += 1
        self.tally.seen.append(x.mean().item())
        self.sealed.note()
        self.names.last = len(x)
        return super().forward(x)


def test_t3_what_stands_in_slots_and_in_attributes_of_containers_is_put_back():
    net = tiny.build(Remembers)
    pellucid.explain(net, tiny.images(1), "saliency", 0)
    assert net.tally == Tally(0, [])
    assert net.sealed.held() == (0, 0.0, True, False)
    assert net.names.last is None


class Company(tiny.Pooled):
    """Its scores depend on the rows beside them, by a rule that leaves a pair of rows alone."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def forward(self, x):
        scores = super().forward(x)
        return scores + self.rule(scores)


@pytest.mark.parametrize(
    "rule",
    [
        lambda s: s.roll(2, 0),
        lambda s: s.mean(0) * (len(s) > 4),
        lambda s: 3 * F.one_hot(s[:, 0].argmin(), len(s))[:, None],
    ],
    ids=["moved on by two", "of more than four", "the smallest"],
)
def test_f4_rows_that_leave_a_pair_alone(rule):
    # a value is what the score of the picture alone loses when a quarter of it is hidden, by running it alone
    net, image = tiny.build(Company, rule), tiny.images(1)
    hidden = image.repeat(4, 1, 1, 1)
    for k in range(4):
        top, left = 8 * (k // 2), 8 * (k % 2)
        hidden[k, :, top : top + 8, left : left + 8] = 0
    scores = torch.cat([net(row).detach() for row in hidden.split(1)])[:, 1]
    found = pellucid.explain(net, image, "occlusion", 1, options={"occlusion": {"window": 8, "stride": 8, "fill": 0}})
    expected = (net(image).detach()[0, 1] - scores).view(1, 2, 2)
    torch.testing.assert_close(found["occlusion"].raw, expected, rtol=1e-6, atol=1e-12)
    assert "influence each other" in found.notes[0]


@pytest.mark.parametrize(("given", "mean", "std"), [({"mean": 0.5}, (0.5,), (1.0,)), ({"std": 2}, (0.0,), (2.0,))])
def test_w7_one_number_for_grey_is_enough(given, mean, std):
    prepared = pellucid.wrap(tiny.build(tiny.Pooled), size=16, **given).preprocess
    assert (prepared.mean, prepared.std) == (mean, std)
