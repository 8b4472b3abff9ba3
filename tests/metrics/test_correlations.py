"""Metrics that compare sums of the map with falls of the score: twins, and what a linear network makes of them."""

from itertools import product

import pytest
import torch
from judged import Weighted, build, judge, maps, random_pixels, replaced
from scipy.stats import pearsonr, rankdata, spearmanr

import tiny
from pellucid.capture.running import Draws
from pellucid.errors import BadOption
from pellucid.metrics._agreement import mean_ranks, pearson, spearman

IMAGE = tiny.images(3)
OPTIONS = {
    "faithfulness-correlation": {"subsets": 20},
    "sensitivity-n": {"sizes": 3, "subsets": 8},
    "mu-fidelity": {"subsets": 20, "cells": 4},
}


def test_correlations_are_those_of_scipy():
    values = maps(4).flatten(1)
    other = maps(4, seed=2).flatten(1)
    for k in range(4):
        assert mean_ranks(values)[k].tolist() == (rankdata(values[k]) - 1).tolist()
        assert float(pearson(values, other)[k]) == pytest.approx(pearsonr(values[k], other[k]).statistic)
        assert float(spearman(values, other)[k]) == pytest.approx(spearmanr(values[k], other[k]).statistic)
    assert pearson(values, torch.full_like(values, 0.1)).isnan().all()
    tiny_units = pearson(values * 1e-200, other * 1e150)
    torch.testing.assert_close(tiny_units, pearson(values, other))


def fall(net, k, c, pixels):
    hidden = replaced(IMAGE[k], torch.zeros_like(IMAGE[k]), pixels)
    return float(net(IMAGE[k : k + 1])[0, c] - net(hidden[None])[0, c])


def told_and_lost(net, given, parts):
    """For each picture the map's sums and the score's falls over the same parts."""
    found = []
    for k, c in enumerate(net(IMAGE).argmax(1).tolist()):
        sums = [sum(float(given[k][p]) for p in part) for part in parts]
        found.append((sums, [fall(net, k, c, part) for part in parts]))
    return found


def test_faithfulness_correlation_is_its_twin():
    net, given = build(), maps()
    parts = [[divmod(i, 16) for i in random_pixels(n, 26, 256)] for n in range(12)]
    expected = [pearsonr(a, b).statistic for a, b in told_and_lost(net, given, parts)]
    found = judge(net, IMAGE, "faithfulness-correlation", {"mine": given}, subsets=12)["mine"]
    assert found.values.tolist() == pytest.approx(expected)


def test_sensitivity_n_is_its_twin():
    net, given = build(), maps()
    sizes = [3, 23, 205]  # 1 % to 80 % of 256 pixels in equal ratios: 2.56, 22.9, 204.8
    parts = [[divmod(i, 16) for i in random_pixels(n, sizes[n // 6], 256)] for n in range(18)]
    expected = []
    for a, b in told_and_lost(net, given, parts):
        expected.append([pearsonr(a[6 * j : 6 * j + 6], b[6 * j : 6 * j + 6]).statistic for j in range(3)])
    found = judge(net, IMAGE, "sensitivity-n", {"mine": given}, sizes=3, subsets=6)["mine"]
    torch.testing.assert_close(found.extras["curve"], torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(found.values, torch.tensor(expected, dtype=torch.float64).mean(1))
    assert found.axis == pytest.approx([size / 256 for size in sizes])


def test_mu_fidelity_is_its_twin():
    net, given = build(), maps()
    cells = [random_pixels(n, 3, 16) for n in range(12)]  # 0.2 of 4 x 4 cells
    parts = [[(r, c) for r in range(16) for c in range(16) if 4 * (r // 4) + c // 4 in some] for some in cells]
    expected = [spearmanr(a, b).statistic for a, b in told_and_lost(net, given, parts)]
    found = judge(net, IMAGE, "mu-fidelity", {"mine": given}, subsets=12, cells=4)["mine"]
    assert found.values.tolist() == pytest.approx(expected)


def test_monotonicity_correlation_is_its_twin():
    net, draws = build(), 2
    given = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)  # without ties
    expected = []
    for k, c in enumerate(net(IMAGE).argmax(1).tolist()):
        picture, told, moved = IMAGE[k], [], []
        for a, b in product(range(0, 16, 4), repeat=2):
            spot, squares = (slice(a, a + 4), slice(b, b + 4)), []
            for _ in range(draws):
                number = torch.tensor([1 + draws * len(told) + len(squares)])
                noise = Draws(0).normal(number, IMAGE[:1])[0] * picture.std((1, 2), keepdim=True)
                seen = picture.clone()
                seen[:, *spot] = (noise + picture.mean((1, 2), keepdim=True))[:, *spot]
                both = net(torch.stack([seen, picture])).softmax(1)[:, c].tolist()
                squares.append((both[0] - both[1]) ** 2)
            told.append(abs(float(given[k][spot].sum())))
            moved.append(sum(squares) / draws)
        expected.append(spearmanr(told, moved).statistic)
    found = judge(net, IMAGE, "monotonicity-correlation", {"mine": given, "minus": -given}, cells=4, draws=draws)
    assert found["mine"].values.tolist() == pytest.approx(expected)
    assert found["minus"].values.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("scaled", [True, False])
def test_infidelity_is_its_twin(scaled):
    net, given, squares = build(), maps(), 6
    drawn = Draws(0).uniform(torch.arange(squares), torch.empty(1, 3, dtype=torch.float64)).tolist()
    parts = []
    for side, down, across in drawn:
        side = 1 + int(side * 8)
        row, column = int(down * (17 - side)), int(across * (17 - side))
        parts.append([(row + i, column + j) for i in range(side) for j in range(side)])
    expected = []
    for a, b in told_and_lost(net, given, parts):
        factor = sum(x * y for x, y in zip(a, b, strict=True)) / sum(x * x for x in a) if scaled else 1
        expected.append(sum((factor * x - y) ** 2 for x, y in zip(a, b, strict=True)) / squares)
    found = judge(net, IMAGE, "infidelity", {"mine": given}, squares=squares, scaled=scaled)["mine"]
    assert found.values.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("metric", OPTIONS)
def test_contributions_to_a_linear_score_correlate_perfectly(metric):
    net = Weighted()
    right = net.contributions(IMAGE, 1)
    cases = {"perfect": right, "inverted": -right, "constant": torch.ones_like(right), "scaled": 1e3 * right}
    found = judge(net, IMAGE, metric, cases, target=1, **OPTIONS[metric])
    assert found["perfect"].values.tolist() == pytest.approx([1.0] * 3)
    assert found["scaled"].values.tolist() == pytest.approx([1.0] * 3)
    assert found["inverted"].values.tolist() == pytest.approx([-1.0] * 3)
    assert found["constant"].judged == 0, "all sums are alike: there is nothing to correlate"


def test_contributions_to_a_linear_score_are_faithful():
    net = Weighted()
    right = net.contributions(IMAGE, 1)
    other = maps()
    cases = {"perfect": right, "scaled": -7 * right, "random": other, "random scaled": 3 * other}
    found = judge(net, IMAGE, "infidelity", cases, target=1)
    assert found["perfect"].values.abs().max() < 1e-18
    assert found["scaled"].values.abs().max() < 1e-18
    torch.testing.assert_close(found["random"].values, found["random scaled"].values)
    assert bool(
        (found["random"].extras["normalised"] <= 1).all() and (found["random"].extras["normalised"] > 0.1).all()
    )
    unscaled = judge(net, IMAGE, "infidelity", cases, target=1, scaled=False)
    assert unscaled["perfect"].values.abs().max() < 1e-18
    assert unscaled["scaled"].values.min() > 1


def test_squares_are_scored_box_by_box_with_the_same_numbers():
    net, image = tiny.build(tiny.Pooled), tiny.images()
    found = judge(net, image, "infidelity", {"mine": maps(2)}, squares=5, target=1)["mine"]
    assert found.cost.forward > 0
    wide = judge(net, image, "infidelity", {"mine": maps(2), "other": maps(2)}, squares=5, target=1)["mine"]
    assert wide.cost.forward == found.cost.forward, "what does not depend on the map is asked once"
    torch.testing.assert_close(wide.values, found.values)


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        ("faithfulness-correlation", {"subsets": 2}),
        ("faithfulness-correlation", {"share": 0.0}),
        ("faithfulness-correlation", {"share": 1.0}),
        ("sensitivity-n", {"subsets": 2}),
        ("sensitivity-n", {"sizes": 0}),
        ("mu-fidelity", {"cells": 17}),
        ("mu-fidelity", {"share": 1.0}),
        ("mu-fidelity", {"share": 0.0}),
        ("monotonicity-correlation", {"cells": 1}),
        ("monotonicity-correlation", {"cells": 17}),
        ("monotonicity-correlation", {"draws": 0}),
        ("infidelity", {"squares": 0}),
        ("infidelity", {"largest": 1.5}),
        ("infidelity", {"baseline": "nothing"}),
    ],
)
def test_refused(metric, options):
    with pytest.raises(BadOption, match=metric):
        judge(build(), IMAGE, metric, {}, **options)
