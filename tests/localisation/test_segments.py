"""Masks, parts, boxes and run lengths, against slow twins and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.localisation.coco import from_run_lengths, run_lengths
from pellucid.localisation.segments import above, nothing_in, segments
from pellucid.numerics import box_of, boxes_of_parts, components

masks = arrays(np.bool_, st.tuples(st.integers(1, 7), st.integers(1, 7)))


def flooded(mask):
    """Parts by flood fill, pixel by pixel, in the order of their first pixel."""
    left, parts = {(int(r), int(c)) for r, c in zip(*np.nonzero(mask), strict=True)}, []
    while left:
        wave, part = [min(left)], set()
        while wave:
            row, column = wave.pop()
            if (row, column) in left:
                left.remove((row, column))
                part.add((row, column))
                wave += [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        parts.append(part)
    return sorted(parts, key=len, reverse=True)  # stable


@given(masks)
@settings(max_examples=60, deadline=None)
def test_parts_are_those_of_a_flood_fill(mask):
    found = [{(int(r), int(c)) for r, c in zip(*np.nonzero(part), strict=True)} for part in components(mask, 99)]
    assert found == flooded(mask)
    assert boxes_of_parts(mask) == [box_of(part) for part in components(mask)]


@given(masks)
@settings(max_examples=60, deadline=None)
def test_run_lengths_go_there_and_back(mask):
    code = run_lengths(mask)
    assert sum(code["counts"]) == mask.size
    assert all(count > 0 for count in code["counts"][1:])
    np.testing.assert_array_equal(from_run_lengths(code), mask)


def test_run_lengths_by_hand():
    # Down the columns: 0 1 | 1 1 | 0 0
    assert run_lengths(np.array([[0, 1, 0], [1, 1, 0]], bool)) == {"size": [2, 3], "counts": [1, 3, 2]}
    assert run_lengths(np.ones((2, 1), bool))["counts"] == [0, 2]
    assert run_lengths(np.zeros((2, 1), bool))["counts"] == [2]


def test_a_box_ends_behind_its_last_pixel():
    mask = np.zeros((9, 9), bool)
    mask[2:5, 3:8] = True
    assert box_of(mask) == (3, 2, 8, 5)


def test_above_a_share_of_the_maximum():
    values = np.array([[-4.0, 0.0, 1.0, 2.0, 10.0]])
    assert above(values, 0.2).tolist() == [[False, False, False, False, True]]  # 2 is not above 2
    assert above(values, 0.1999).tolist() == [[False, False, False, True, True]]
    assert above(values, 0).tolist() == [[False, False, True, True, True]]
    assert not above(-values[:, :2] * 0 - 1, 0).any()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([[0.0, 0.0]], "no positive evidence"),
        ([[-1.0, -2.0]], "no positive evidence"),
        ([[3.0, 3.0]], "same everywhere"),
        ([[1.0, np.nan]], "not finite"),
        ([[1.0, np.inf]], "not finite"),
        ([[0.0, 1e-30]], ""),
    ],
)
def test_maps_that_point_nowhere_say_why(values, why):
    said = nothing_in(np.array(values))
    assert (why in said) if why else said == ""


def test_segments_lie_in_the_picture():
    values = np.array([[0.0, 0.0, 4.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    first, second = segments(values > 0, values, (10, 20), (30, 40), 5)
    assert first.box == (10, 21, 11, 23)
    assert first.bbox == [10, 21, 1, 2]
    assert (first.area, first.peak) == (2, 0.25)
    assert second.bbox == [12, 20, 1, 1]
    assert second.peak == 1
    assert first.mask.shape == (30, 40)
    assert first.mask.sum() == 2
    assert len(segments(values > 0, values, (10, 20), (30, 40), 1)) == 1
