"""Metrics beside a known mask or box: slow twins, answers by hand for perfect, inverted and constant maps, laws."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

import pellucid
from pellucid.contracts import Frame
from pellucid.errors import BadOption
from pellucid.metrics._truth import THRESHOLDS, inside, overlaps
from pellucid.metrics.energy_pointing import energy_pointing
from pellucid.metrics.iou import iou
from pellucid.metrics.mass_accuracy import mass_accuracy
from pellucid.metrics.max_box_acc import max_box_acc
from pellucid.metrics.max_box_acc_v2 import OVERLAPS, max_box_acc_v2
from pellucid.metrics.pointing_game import pointing_game
from pellucid.metrics.pxap import pxap
from pellucid.metrics.rank_accuracy import rank_accuracy
from pellucid.metrics.top_k_intersection import top_k_intersection

SIZE = (40, 50)
FRAME = Frame.whole(SIZE)
MASK = torch.zeros(1, *SIZE, dtype=torch.bool)
MASK[0, 5:15, 30:45] = True
BOX = [torch.tensor([[30.0, 5.0, 45.0, 15.0]])]
PERFECT = MASK.double()
INVERTED = 1 - PERFECT
CONSTANT = torch.full((1, *SIZE), 0.7, dtype=torch.float64)
SHARE = 150 / 2000


def point(row, column, size=SIZE):
    values = torch.zeros(1, *size, dtype=torch.float64)
    values[0, row, column] = 1
    return values


def maps(count=4, size=(9, 11), levels=6, seed=0):
    """Random maps with many ties, and masks; the last mask is empty."""
    draw = np.random.default_rng(seed)
    values = torch.from_numpy(draw.integers(-2, levels, (count, *size)).astype(float))
    mask = torch.from_numpy(draw.random((count, *size)) < 0.3)
    mask[-1] = False
    return values, mask


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (PERFECT, {"mass": 1, "rank": 1, "iou": 1, "pxap": 1, "energy": 1, "box": 1, "v2": 1, "point": 1}),
        (
            INVERTED,
            {"mass": 0, "rank": 0, "iou": 0, "energy": 0, "box": 0, "v2": 0, "point": 0, "pxap": SHARE},
        ),
        (
            CONSTANT,
            {"mass": SHARE, "rank": SHARE, "iou": SHARE, "energy": SHARE, "box": 0, "v2": 0, "point": 0, "pxap": SHARE},
        ),
    ],
    ids=["perfect", "inverted", "constant"],
)
def test_by_hand(values, expected):
    found = {
        "mass": mass_accuracy(values, MASK),
        "rank": rank_accuracy(values, MASK),
        "iou": iou(values, MASK),
        "pxap": pxap(values, MASK),
        "energy": energy_pointing(values, BOX),
        "box": max_box_acc(values, BOX).values,
        "v2": max_box_acc_v2(values, BOX).values,
        "point": pointing_game(values, MASK, [FRAME]),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)
    assert float(top_k_intersection(values, MASK, k=150)) == pytest.approx(expected["rank"])


def test_without_truth_there_is_no_answer():
    nothing, no_box = torch.zeros_like(MASK), [torch.zeros(0, 4)]
    for metric in (mass_accuracy, rank_accuracy, iou, pxap):
        assert metric(PERFECT, nothing).isnan().all()
    assert top_k_intersection(PERFECT, nothing, k=5).isnan().all()
    assert pointing_game(PERFECT, nothing, [FRAME]).isnan().all()
    assert energy_pointing(PERFECT, no_box).isnan().all()
    for metric in (max_box_acc, max_box_acc_v2):
        judged = metric(PERFECT, no_box)
        assert judged.values.isnan().all()
        assert judged.extras["curve"].isnan().all()


def test_maps_without_positive_evidence_point_nowhere():
    for values in (-PERFECT - 1, PERFECT * 0):
        assert float(mass_accuracy(values, MASK)) == 0
        assert float(energy_pointing(values, BOX)) == 0
        assert float(iou(values, MASK)) == 0


# The pointing game, by TorchRay's rules.


@pytest.mark.parametrize(
    ("place", "hit"),
    [
        ((5, 30), 1),
        ((5, 16), 1),
        ((5, 15), 0),
        ((28, 44), 1),
        ((29, 44), 0),
        ((27, 22), 0),
        ((24, 19), 1),
        ((39, 0), 0),
    ],
)
def test_pointing_is_strictly_within_fifteen_pixels(place, hit):
    """The mask spans rows 5 to 14 and columns 30 to 44: column 16 is 14 away, column 15 exactly 15."""
    assert float(pointing_game(point(*place), MASK, [FRAME])) == hit


def naive_hit(values, mask, tolerance):
    """Pixel by pixel, at the size of the picture."""
    peak = max(map(max, values))
    if min(map(min, values)) == peak:
        return 0.0
    tops = [(r, c) for r, row in enumerate(values) for c, v in enumerate(row) if v == peak]
    inner = [(r, c) for r, row in enumerate(mask) for c, m in enumerate(row) if m]
    near = [any((r - i) ** 2 + (c - j) ** 2 < tolerance**2 for i, j in inner) for r, c in tops]
    return float(all(near))


@pytest.mark.parametrize("tolerance", [1.0, 1.5, 3.0])
def test_pointing_is_its_twin(tolerance):
    values, mask = maps(6)
    values[:3] += torch.rand(3, 9, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)  # no ties
    found = pointing_game(values, mask, [Frame.whole((9, 11))] * 6, tolerance=tolerance)
    expected = [naive_hit(v, m, tolerance) for v, m in zip(values.tolist(), mask.tolist(), strict=True)]
    assert found[:-1].tolist() == expected[:-1]
    assert found[-1].isnan()


def test_a_tie_is_a_hit_only_where_every_top_is():
    both, apart = point(6, 31) + point(7, 40), point(6, 31) + point(39, 0)
    assert float(pointing_game(both, MASK, [FRAME])) == 1
    assert float(pointing_game(apart, MASK, [FRAME])) == 0
    assert float(pointing_game(CONSTANT, torch.ones_like(MASK), [FRAME])) == 0


def test_large_plateaus_are_no_burden():
    """Half of the picture is the maximum: all pairs of pixels would be billions."""
    values, mask = torch.zeros(1, 300, 300), torch.zeros(1, 300, 300, dtype=torch.bool)
    values[0, :150], mask[0, :150] = 1, True
    assert float(pointing_game(values, mask, [Frame.whole((300, 300))])) == 1
    values[0, :170] = 1
    assert float(pointing_game(values, mask, [Frame.whole((300, 300))])) == 0


def test_the_tolerance_is_in_pixels_of_the_original_picture():
    """The model sees columns 100 to 300 of 400 x 200, at half the size: 7 input pixels are 14, 8 are 16."""
    frame = Frame((200, 400), (100.0, 0.0, 300.0, 200.0), (100, 100))
    mask = torch.zeros(1, 100, 100, dtype=torch.bool)
    mask[0, :, 50:] = True
    assert float(pointing_game(point(40, 43, (100, 100)), mask, [frame])) == 1
    assert float(pointing_game(point(40, 41, (100, 100)), mask, [frame])) == 0


# Ranks and shares.


def expected_top_share(values, mask, count):
    """Mean over all orders of equal values, worked out value by value."""
    flat, inner = values.flatten().tolist(), mask.flatten().tolist()
    left, hits = count, 0.0
    for value in sorted(set(flat), reverse=True):
        group = [inner[k] for k, v in enumerate(flat) if v == value]
        taken = min(left, len(group))
        hits += taken * sum(group) / len(group)
        left -= taken
    return hits / count


def test_ranks_are_their_twin():
    values, mask = maps()
    for count in (1, 7, 40, 99):
        found = top_k_intersection(values, mask, k=count)
        expected = [expected_top_share(v, m, count) for v, m in zip(values, mask, strict=True)]
        assert found[:-1].tolist() == pytest.approx(expected[:-1])
    found = rank_accuracy(values, mask)
    expected = [expected_top_share(v, m, int(m.sum())) for v, m in zip(values[:-1], mask[:-1], strict=True)]
    assert found[:-1].tolist() == pytest.approx(expected)


def test_pxap_is_that_of_scikit_learn():
    values, mask = maps(5)
    expected = [average_precision_score(m.flatten(), v.flatten()) for v, m in zip(values[:-1], mask[:-1], strict=True)]
    assert pxap(values, mask)[:-1].tolist() == pytest.approx(expected)
    assert pxap(values, mask)[-1].isnan()


def test_mass_is_its_twin():
    values, mask = maps()
    for value, m, found in zip(values[:-1], mask[:-1], mass_accuracy(values, mask)[:-1], strict=True):
        positive = [(max(v, 0.0), i) for v, i in zip(value.flatten().tolist(), m.flatten().tolist(), strict=True)]
        assert float(found) == pytest.approx(sum(v for v, i in positive if i) / sum(v for v, _ in positive))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_does_not_count(scale):
    values, mask = maps()
    boxes = [torch.tensor([[1.0, 1.0, 6.0, 5.0]])] * 4
    frames = [Frame.whole((9, 11))] * 4
    for metric, truth in (
        (mass_accuracy, (mask,)), (rank_accuracy, (mask,)), (iou, (mask,)), (pxap, (mask,)),
        (energy_pointing, (boxes,)), (pointing_game, (mask, frames)),
    ):  # fmt: skip
        torch.testing.assert_close(metric(values * scale, *truth), metric(values, *truth), equal_nan=True)
    for metric in (max_box_acc, max_box_acc_v2):
        assert torch.equal(metric(values * scale, boxes).extras["curve"], metric(values, boxes).extras["curve"])


def test_only_the_order_counts_for_ranks_and_precision():
    values, mask = maps()
    bent = values.exp()
    for metric in (rank_accuracy, pxap):
        torch.testing.assert_close(metric(bent, mask), metric(values, mask), equal_nan=True)


# Boxes.


def test_a_pixel_is_in_a_box_if_its_centre_is():
    found = inside([torch.tensor([[0.5, 0.0, 2.6, 1.0], [3.4, 1.0, 4.0, 2.0]])], torch.zeros(1, 2, 4))
    assert found.int().tolist() == [[[0, 1, 1, 0], [0, 0, 0, 1]]]


edges = st.builds(
    lambda left, top, wide, high: (left, top, left + wide, top + high),
    *(st.integers(0, 8), st.integers(0, 8), st.integers(1, 6), st.integers(1, 6)),
)


@given(st.lists(edges, min_size=1, max_size=3), st.lists(edges, min_size=1, max_size=3))
@settings(max_examples=50, deadline=None)
def test_overlap_is_counted_in_pixels(first, second):
    def pixels(box):
        return set(itertools.product(range(box[0], box[2]), range(box[1], box[3])))

    found = overlaps(np.array(first, float), np.array(second, float))
    for i, j in itertools.product(range(len(first)), range(len(second))):
        a, b = pixels(first[i]), pixels(second[j])
        assert found[i, j] == pytest.approx(len(a & b) / len(a | b))


def naive_curve(values, truth, parts):
    """Boxes of parts grown pixel by pixel, at every threshold."""
    rows, columns = values.shape
    low, high = values.min(), values.max()
    scaled = (values - low) / (high - low)
    curve = []
    for threshold in THRESHOLDS:
        left, found = {(r, c) for r in range(rows) for c in range(columns) if scaled[r, c] > threshold}, []
        while left:
            wave, part = [min(left)], []
            while wave:
                place = wave.pop()
                if place in left:
                    left.remove(place)
                    part.append(place)
                    wave += [(place[0] + i, place[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            found.append(part)
        found = sorted(found, key=len, reverse=True)[:parts]
        drawn = [
            (min(c for _, c in p), min(r for r, _ in p), max(c for _, c in p) + 1, max(r for r, _ in p) + 1)
            for p in found
        ]
        curve.append(max((float(overlaps(np.array([d]), truth).max()) for d in drawn), default=0.0))
    return np.array(curve)


def test_boxes_are_their_twin():
    draw = np.random.default_rng(2)
    values = torch.from_numpy(draw.random((3, 7, 8)))
    boxes = [torch.from_numpy(np.array([[1, 1, 5, 5], [4, 2, 8, 7]], float))] * 3
    for metric, parts, levels in ((max_box_acc, 1, (0.5,)), (max_box_acc_v2, None, OVERLAPS)):
        curve = metric(values, boxes).extras["curve"]
        for row, value in zip(curve, values.numpy(), strict=True):
            best = naive_curve(value, boxes[0].numpy(), parts)
            np.testing.assert_allclose(row, np.mean([best >= level for level in levels], 0))


def test_maximum_of_a_set_is_read_off_the_curve():
    """Two maps that are right at different thresholds: no single one suits both."""
    first, second = torch.zeros(1, *SIZE), torch.zeros(1, *SIZE)
    first[0, 5:15, 30:45], first[0, 20:40, :] = 1.0, 0.4  # right above 0.4
    second[0, 5:15, 30:45], second[0, 8:10, 35:38] = 0.3, 1.0  # right below 0.3
    judged = max_box_acc(torch.cat([first, second]), BOX * 2, threshold=0.5)
    assert judged.values.tolist() == [1, 0]
    assert judged.extras["curve"].mean(0).max() == 0.5
    assert judged.extras["curve"][:, 20].tolist() == [0, 1]
    assert judged.axis == THRESHOLDS


def test_the_second_version_forgives_several_parts():
    two = torch.zeros(1, *SIZE)
    two[0, 5:15, 30:45], two[0, 20:39, 2:29] = 1, 1
    assert float(max_box_acc(two, BOX).values) == 0
    assert float(max_box_acc_v2(two, BOX).values) == 1


def test_misuse_is_said():
    with pytest.raises(BadOption, match="pointing-game"):
        pointing_game(PERFECT, MASK, [FRAME], tolerance=0)
    with pytest.raises(BadOption, match="top-k-intersection"):
        top_k_intersection(PERFECT, MASK, k=2001)
    with pytest.raises(BadOption, match="max-box-acc"):
        max_box_acc(PERFECT, BOX, threshold=0.123)
    with pytest.raises(BadOption, match="overlap"):
        max_box_acc(PERFECT, BOX, overlap=1.5)
    with pytest.raises(BadOption, match="iou"):
        iou(PERFECT, MASK, threshold=1.0)


def test_beside_controls_through_evaluate():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1))
    net.append(torch.nn.Flatten())
    image = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    result = pellucid.explain(net, image, "grad-cam", layer="1", target=0)
    found = pellucid.evaluate(
        result, ["pointing-game", "iou"], masks=MASK.repeat(2, 1, 1), maps={"perfect": PERFECT.float().repeat(2, 1, 1)}
    )
    assert found["perfect", "iou"].mean == 1
    assert set(found["perfect", "pointing-game"].controls) == {"random", "centre", "edges"}
