"""Shapes that every other part speaks of, `[batch, channel, row, column]`, and places in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from torch import Tensor

if TYPE_CHECKING:
    pass

Maps: TypeAlias = Tensor
"""Float tensor `[batch, channel, row, column]`."""


Map: TypeAlias = Tensor
"""Float tensor `[batch, row, column]`."""


Scores: TypeAlias = Tensor
"""Float tensor `[batch]`, one number per sample."""


Box: TypeAlias = "tuple[float, float, float, float]"
"""Left, top, right, bottom in pixels, the edges between pixels counted from 0."""
