"""How a layer's tensor is laid out in space: channels first, channels last, or tokens with a prefix."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from pellucid.errors import BadSite
from pellucid.types import Grid

MAX_PREFIX = 16
"""More class, distillation and register tokens than any published model has."""


def same_aspect(cells: tuple[int, int], pixels: tuple[int, int]) -> bool:
    """Whether a grid could come from a picture by equal strides in both directions, give or take one cell."""
    rows, columns = cells
    stride = math.sqrt(pixels[0] * pixels[1] / (rows * columns))
    return stride >= 0.9 and abs(rows - pixels[0] / stride) <= 1 and abs(columns - pixels[1] / stride) <= 1


def grid_of(tensor: Tensor, pixels: tuple[int, int], patches: Sequence[tuple[int, int]] = ()) -> Grid | None:
    """The spatial layout of a layer's output, or None if it has none.

    Args:
        tensor: what the layer returned, batch axis first.
        pixels: rows and columns of the model's input.
        patches: grids seen earlier in the pass, largest count of cells first; they tell how many of a token model's
            tokens are places.
    """
    shape = tuple(tensor.shape[1:])
    if len(shape) == 3:
        first, last = (math.prod(sides) > 1 and same_aspect(sides, pixels) for sides in (shape[1:], shape[:2]))
        if first and last:  # about the aspect, as sizes are rounded; the exact one is meant
            first = _has_aspect(shape[1:], pixels) or not _has_aspect(shape[:2], pixels)
        if first:
            return Grid("channels-first", shape[1], shape[2])
        if last:
            return Grid("channels-last", shape[0], shape[1])
    if len(shape) == 2:
        for rows, columns in sorted(patches, key=math.prod, reverse=True):
            if rows * columns > 1 and 0 <= shape[0] - rows * columns <= MAX_PREFIX:
                return Grid("tokens", rows, columns, shape[0] - rows * columns)
    return None


def _has_aspect(sides: tuple[int, ...], pixels: tuple[int, int]) -> bool:
    return sides[0] * pixels[1] == sides[1] * pixels[0]


def check_grid(grid: Grid | None, site: object, tensor: Tensor) -> Grid:
    """The grid itself, or the reason why there is none.

    Raises:
        BadSite: the layer has no spatial grid.
    """
    if grid is None:
        raise BadSite(
            f"The layer '{site}' has no spatial grid: its output has shape {list(tensor.shape)}. Choose one "
            "that `pellucid layers MODEL` lists, or leave the layer out."
        )
    return grid
