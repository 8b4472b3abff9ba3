"""Many small maps side by side in one picture, cell by cell, as sheets of kernels and activations are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.errors import BadOption

_PAPER = 255


def tiles(
    pictures: Sequence[NDArray[np.uint8]], *, columns: int | None = None, cell: int = 64, gap: int = 4
) -> Image.Image:
    """Put small pictures into a grid; every value becomes a square of whole pixels, so nothing is smoothed.

    Args:
        pictures: uint8 `[row, column, 3]`, of any sizes.
        columns: per row; None: about twice as wide as high.
        cell: longest side of one picture in the grid, in pixels; larger pictures are left as they are.
        gap: between them, in pixels.

    Raises:
        BadOption: there are none.
    """
    if not pictures:
        raise BadOption("Expected at least one map for a sheet, got none.")
    columns = columns or max(1, math.ceil(math.sqrt(2 * len(pictures))))
    grown = [_grown(picture, cell) for picture in pictures]
    wide, high = max(p.shape[1] for p in grown), max(p.shape[0] for p in grown)
    rows = -(-len(grown) // columns)
    columns = min(columns, len(grown))
    page = np.full((rows * (high + gap) + gap, columns * (wide + gap) + gap, 3), _PAPER, np.uint8)
    for number, picture in enumerate(grown):
        top, left = gap + number // columns * (high + gap), gap + number % columns * (wide + gap)
        page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return Image.fromarray(page)


def _grown(picture: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    factor = max(1, cell // max(picture.shape[:2]))
    return np.repeat(np.repeat(picture, factor, 0), factor, 1)
