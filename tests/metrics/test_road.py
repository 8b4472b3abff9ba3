"""ROAD: the imputation against a dense solver and by hand, and the whole against a twin."""

import numpy as np
import pytest
import torch
from judged import build, judge, maps, order

import tiny
from pellucid.capture.running import Draws
from pellucid.errors import BadOption
from pellucid.metrics._imputation import imputed

IMAGE = tiny.images(3)


def twin(picture, hole):
    """The equations of the paper written out and solved densely: weights of neighbours inside add up to one."""
    rows, columns = hole.shape
    missing = [(r, c) for r in range(rows) for c in range(columns) if hole[r, c]]
    number = {p: i for i, p in enumerate(missing)}
    system, right = np.eye(len(missing)), np.zeros((len(missing), len(picture)))
    for (r, c), i in number.items():
        around = {(a, b): 1 / 6 if 0 in (a, b) else 1 / 12 for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)}
        inside = {(r + a, c + b): w for (a, b), w in around.items() if 0 <= r + a < rows and 0 <= c + b < columns}
        for place, weight in inside.items():
            share = weight / sum(inside.values())
            if place in number:
                system[i, number[place]] -= share
            else:
                right[i] += share * picture[:, place[0], place[1]]
    filled = picture.copy()
    for (r, c), value in zip(missing, np.linalg.solve(system, right), strict=True):
        filled[:, r, c] = value
    return filled


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_imputation_is_its_twin(share):
    holes = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(2)) < share
    filled = imputed(IMAGE, holes)
    for k in range(3):
        np.testing.assert_allclose(filled[k].numpy(), twin(IMAGE[k].numpy(), holes[k].numpy()), rtol=1e-9, atol=1e-12)
    assert torch.equal(filled.where(~holes[:, None], 0), IMAGE.where(~holes[:, None], 0))


def test_imputation_by_hand():
    picture = torch.arange(9, dtype=torch.float64).reshape(1, 1, 3, 3)
    hole = torch.zeros(1, 3, 3, dtype=torch.bool)
    hole[0, 1, 1] = True
    assert float(imputed(picture, hole)[0, 0, 1, 1]) == pytest.approx((1 + 3 + 5 + 7) / 6 + (0 + 2 + 6 + 8) / 12)
    hole = torch.zeros(1, 3, 3, dtype=torch.bool)
    hole[0, 0, 0] = True  # two sides and a corner are inside the picture
    assert float(imputed(picture, hole)[0, 0, 0, 0]) == pytest.approx((1 / 6 * 1 + 1 / 6 * 3 + 1 / 12 * 4) / (5 / 12))
    assert torch.equal(imputed(picture, torch.ones(1, 3, 3, dtype=torch.bool)), torch.zeros_like(picture))
    assert torch.equal(imputed(picture, torch.zeros(1, 3, 3, dtype=torch.bool)), picture)


def test_a_flat_picture_stays_flat():
    holes = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(2)) < 0.7
    torch.testing.assert_close(imputed(torch.full_like(IMAGE[:1], 0.3), holes), torch.full_like(IMAGE[:1], 0.3))


def test_road_is_its_twin():
    net, given, steps = build(), maps(), 3
    expected = []
    for k, c in enumerate(net(IMAGE).argmax(1).tolist()):
        pixels, curve = order(given[k]), []
        for number in range(steps):
            count = round(256 * (number + 1) / (steps + 1))
            seen = []
            for draw, gone in ((number, pixels[:count]), (steps + number, pixels[-count:])):
                hole = np.zeros((16, 16), bool)
                hole[tuple(np.array(gone).T)] = True
                noise = 0.01 * Draws(0).normal(torch.tensor([draw]), IMAGE[:1])[0]
                filled = torch.from_numpy(twin(IMAGE[k].numpy(), hole)) + noise * torch.from_numpy(hole)
                seen.append(float(net(filled[None]).softmax(1)[0, c]))
            curve.append((seen[1] - seen[0]) / 2)
        expected.append(curve)
    found = judge(net, IMAGE, "road", {"mine": given}, steps=steps)["mine"]
    torch.testing.assert_close(found.extras["curve"], torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(found.values, torch.tensor(expected, dtype=torch.float64).mean(1))
    assert found.axis == pytest.approx((0.25, 0.5, 0.75))


def test_an_inverted_map_has_the_opposite_score():
    net, given = build(), torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = judge(net, IMAGE, "road", {"mine": given, "scaled": 9 * given, "inverted": -given}, steps=3, noise=0.0)
    torch.testing.assert_close(found["inverted"].values, -found["mine"].values)
    torch.testing.assert_close(found["scaled"].values, found["mine"].values)


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 256}, {"noise": -0.1}])
def test_refused(options):
    with pytest.raises(BadOption, match="road"):
        judge(build(), IMAGE, "road", {}, **options)
