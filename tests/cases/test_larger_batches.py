"""Networks whose rows influence each other only in batches larger than those of a trial."""

import pytest
import torch
from torch import nn

import pellucid
from pellucid.errors import Refused

PASSES = []


class Crowded(nn.Module):
    """Rows lose their mean where there are more than `most` of them."""

    def __init__(self, most):
        super().__init__()
        torch.manual_seed(0)
        self.most = most
        self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Linear(2, 2)
        nn.init.ones_(self.conv.bias)

    def forward(self, x):
        PASSES.append(len(x))
        x = self.conv(x).relu()
        if len(x) > self.most:
            x = x - x.mean(0)
        return self.head(x.mean((2, 3)))


IMAGES = torch.rand(9, 1, 6, 6, generator=torch.Generator().manual_seed(1))
OPTIONS = {"rise": {"masks": 40, "cells": 3}, "integrated-gradients": {"steps": 12}}


def explained(most, images, method):
    return pellucid.explain(
        Crowded(most).eval(), images, method, 1, options={k: OPTIONS[k] for k in OPTIONS if k == method}
    )


@pytest.mark.parametrize("method", ["occlusion", "rise", "integrated-gradients", "smoothgrad"])
def test_mixing_that_begins_in_larger_batches_does_not_change_a_map(method):
    """What a picture gets alone is the answer, as in the network without the mixing."""
    found, expected = (explained(most, IMAGES[:1], method) for most in (8, 10**9))
    torch.testing.assert_close(found[method].raw, expected[method].raw, rtol=1e-3, atol=1e-6)
    assert "influence each other" in " ".join(found.notes)
    assert not any("influence each other" in note for note in expected.notes)


def test_pictures_of_one_call_are_kept_apart_too():
    found, expected = (explained(most, IMAGES, "saliency") for most in (8, 10**9))
    torch.testing.assert_close(found["saliency"].raw, expected["saliency"].raw)
    assert "influence each other" in " ".join(found.notes)
    with pytest.raises(Refused, match="influence each other"):
        explained(8, IMAGES, "deep-lift")  # which needs a second row for each picture


def test_a_size_is_asked_about_once():
    net, counts = Crowded(10**9).eval(), []
    for _ in range(2):
        PASSES.clear()
        pellucid.explain(net, IMAGES[:1], "smoothgrad", 1)
        counts.append([n for n in PASSES if n > 2])
    first, later = counts
    assert later and max(later) > 5
    assert [n for n in first if n > 5] == later
    assert all(n > 2 for n in PASSES[1:])  # after the picture itself nothing but its copies
