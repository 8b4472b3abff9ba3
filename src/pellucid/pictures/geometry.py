"""Where a map's cells lie on the original picture."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pellucid.contracts import Box

Window = tuple[int, int, int, int]


def window(box: Box) -> Window:
    """The pixels whose centres lie in a box: left, top, right, bottom; the last two are exclusive."""
    left, top, right, bottom = (math.ceil(edge - 0.5) for edge in box)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def stretch(values: NDArray[np.float64] | NDArray[np.bool_], box: Box, pixels: Window) -> NDArray[np.float32]:
    """Resize a map that covers `box` and read it off at the centres of pixels.

    Bilinear with half-pixel centres; where the map has more cells than the box has pixels, cells are averaged
    (as `interpolate(..., antialias=True)` does).

    Args:
        values: `[row, column]`.
        box: the region that the map covers, in pixels.
        pixels: the pixels wanted.

    Returns:
        `[row, column]`, one value per pixel wanted.
    """
    rows = _weights(values.shape[0], box[1], box[3], pixels[1], pixels[3])
    columns = _weights(values.shape[1], box[0], box[2], pixels[0], pixels[2])
    return _combine(columns, _combine(rows, values.astype(np.float32)).T).T


def _combine(weights: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """`weights @ values` for weights that are zero but for a few neighbours.

    Not as a matrix product: that would wake NumPy's own pool of threads, which then fights with torch's.
    """
    first = (weights > 0).argmax(1)
    row = np.arange(len(weights))
    result = np.zeros((len(weights), values.shape[1]), np.float32)
    for step in range(int((weights > 0).sum(1).max())):
        tap = np.minimum(first + step, weights.shape[1] - 1)
        weight = np.where(first + step < weights.shape[1], weights[row, tap], 0)
        result += weight[:, None] * values[tap]
    return result


def _weights(cells: int, start: float, end: float, first: int, last: int) -> NDArray[np.float32]:
    """How much each cell counts for each pixel, `[pixel, cell]`; rows add up to 1."""
    step = cells / (end - start)
    centres = (np.arange(first, last) + 0.5 - start) * step - 0.5
    distances = np.abs(np.arange(cells) - centres[:, None]) / max(step, 1.0)
    weights = np.maximum(1.0 - distances, 0.0)
    return np.asarray(weights / weights.sum(1, keepdims=True), dtype=np.float32)
