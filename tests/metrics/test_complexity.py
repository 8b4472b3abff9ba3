"""Complexity: closed forms, and the definitions written out."""

import math

import pytest
import torch
from judged import build, judge, maps

import tiny


def values_of(metric, cases):
    image = tiny.images(1, size=next(iter(cases.values())).shape[1:])
    return {name: float(s.values) for name, s in judge(build(), image, metric, cases).items()}


def test_by_hand():
    one = torch.zeros(1, 8, 8, dtype=torch.float64)
    one[0, 3, 4] = -5.0
    half = torch.zeros(1, 8, 8, dtype=torch.float64)
    half[0, :4] = 2.0
    cases = {"one": one, "half": half, "constant": torch.ones_like(one)}
    assert values_of("gini-sparseness", cases) == pytest.approx({"one": 1 - 1 / 64, "half": 0.5, "constant": 0})
    assert values_of("entropy", cases) == pytest.approx({"one": 0, "half": math.log(32), "constant": math.log(64)})
    for metric in ("gini-sparseness", "entropy"):
        assert math.isnan(values_of(metric, {"empty": torch.zeros_like(one)})["empty"])


def test_twins():
    given = maps(1)
    flat = sorted(abs(v) for v in given.flatten().tolist())
    pairs = sum(abs(a - b) for a in flat for b in flat)
    gini = pairs / (2 * len(flat) * sum(flat))  # the mean difference of two values, halved, over their mean
    shares = [v / sum(flat) for v in flat if v > 0]
    cases = {"mine": given, "scaled": -1e3 * given}
    assert values_of("gini-sparseness", cases) == pytest.approx(dict.fromkeys(cases, gini))
    assert values_of("entropy", cases) == pytest.approx(dict.fromkeys(cases, -sum(p * math.log(p) for p in shares)))
