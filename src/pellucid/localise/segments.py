"""From a map to connected parts and their boxes. Pure functions over arrays; they know nothing of models or files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pellucid.pictures.geometry import Window
from pellucid.types import Box

_TOUCHING = np.ones((3, 3), bool)
"""Pixels belong together that share an edge or a corner, as in the contours of arXiv:2001.07437."""

Mask = NDArray[np.bool_]
"""`[row, column]`, True where the object is."""


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


def components(mask: Mask, most: int) -> list[Mask]:
    """The connected parts of a mask, the largest first; of equal ones the one that begins further up and left."""
    labels, count = ndimage.label(mask, structure=_TOUCHING)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")[:most]
    return [np.asarray(labels == number + 1) for number in order]


def box_of(mask: Mask) -> Window:
    """Left, top, right and bottom of a mask that is not empty; the last two are exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


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
