"""Shapes that every other part speaks of, `[batch, channel, *axes]`, and places in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from torch import Tensor

Maps: TypeAlias = Tensor
"""Float tensor `[batch, channel, *axes]`, of a picture `[batch, channel, row, column]`."""


Map: TypeAlias = Tensor
"""Float tensor `[batch, *axes]`, of a picture `[batch, row, column]`."""


Scores: TypeAlias = Tensor
"""Float tensor `[batch]`, one number per sample."""


Box: TypeAlias = "tuple[float, ...]"
"""Left, top, right, bottom in pixels, the edges between pixels counted from 0.

On k axes 2 k numbers: where it begins along the last axis, the one before it and so on, then where it ends.
"""

AxisName: TypeAlias = Literal[
    "batch", "channel", "depth", "row", "column", "frame", "time", "token", "node", "edge", "feature"
]
NAMES: tuple[AxisName, ...] = get_args(AxisName)
"""What an axis may be called."""


@dataclass(frozen=True)
class Axis:
    """An axis of a tensor: what lies along it, and how many of them.

    Written as text: `time 500`.
    """

    name: AxisName
    size: int

    def __str__(self) -> str:
        return f"{self.name} {self.size}"


USUAL: dict[int, tuple[AxisName, ...]] = {1: ("time",), 2: ("row", "column"), 3: ("depth", "row", "column")}
"""What the axes behind batch and channel are called where nothing else is known, by their number."""

TABLE: tuple[AxisName, ...] = ("feature",)
"""The axes of tables, which have no channels."""


def axes_of(size: Sequence[int], names: Sequence[AxisName] = ()) -> tuple[Axis, ...]:
    """The axes of a map of this size, named as usual or as given."""
    return tuple(Axis(name, length) for name, length in zip(names or USUAL[len(size)], size, strict=True))
