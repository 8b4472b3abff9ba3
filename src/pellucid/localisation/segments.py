"""From a map to connected parts and their boxes. Pure functions over arrays; they know nothing of models or files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.contracts import Box
from pellucid.numerics import Mask, box_of, components


@dataclass(frozen=True, eq=False)
class Segment:
    """One connected part of a mask.

    Attributes:
        box: left, top, right, bottom in pixels of the picture, the edges between pixels counted from 0, so that
            right minus left is a number of pixels.
        mask: of the whole picture.
        area: its pixels.
        peak: the map's largest value in it as a share of the map's largest value, 0 to 1.
    """

    box: Box
    mask: Mask
    area: int
    peak: float

    @property
    def bbox(self) -> list[int]:
        """Left, top, width and height in pixels, as COCO writes boxes."""
        left, top, right, bottom = (int(edge) for edge in self.box)
        return [left, top, right - left, bottom - top]


def nothing_in(values: NDArray[np.float64]) -> str:
    """Why a map points nowhere, in words; "" when it does point somewhere."""
    if not np.isfinite(values).all():
        return "the map has values that are not finite"
    if values.max() <= 0:
        return "the map has no positive evidence"
    if values.max() - values.min() <= 1e-6 * np.abs(values).max():
        return "the map is the same everywhere, so it points at nothing"
    return ""


def above(values: NDArray[np.float64], threshold: float) -> Mask:
    """Where a map is above a share of its maximum; nowhere when its maximum is not positive.

    Args:
        values: `[row, column]`.
        threshold: 0 to 1. At 0, every positive value.
    """
    peak = values.max(initial=0.0)
    return np.asarray((values > threshold * peak) & (values > 0))


def segments(mask: Mask, values: NDArray[np.float64], corner: tuple[int, int], size: tuple[int, int], most: int) -> (
    tuple[Segment, ...]
):  # fmt: skip
    """The largest parts of a mask that covers a window of a picture.

    Args:
        mask: `[row, column]` of the window.
        values: the map in the same window.
        corner: column and row of the picture at which the window begins.
        size: rows and columns of the picture.
        most: how many parts.
    """
    across, down = corner
    peak = float(values.max(initial=0.0))
    found = []
    for part in components(mask, most):
        whole = np.zeros(size, bool)
        whole[down : down + part.shape[0], across : across + part.shape[1]] = part
        left, top, right, bottom = map(float, box_of(whole))
        share = float(values[part].max()) / peak if peak > 0 else 0.0
        found.append(Segment((left, top, right, bottom), whole, int(part.sum()), share))
    return tuple(found)
