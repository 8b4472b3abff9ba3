"""What a drawing of a network is made of: boxes, the lines between them, and where lines begin and end."""

from __future__ import annotations

from dataclasses import dataclass

ABOVE, BELOW = -1, -2
"""In place of an item's place: what comes into the box from above, and what leaves it below."""


MOST = 60
"""A box with more parts than this has them folded, run by run."""


@dataclass(frozen=True)
class GraphLine:
    """A connection inside a box.

    Attributes:
        start, end: numbers of items, or `ABOVE` and `BELOW`.
        lane: 0 runs straight down to the next rank; others run down beside the ranks between.
    """

    start: int
    end: int
    lane: int = 0


@dataclass(frozen=True, eq=False)
class GraphBox:
    """A module call, a function call, or a run of parts folded together.

    Attributes:
        label: what it is, such as `Conv2d` or `+`.
        name: how its owner calls it; "" for functions.
        path: the module's dotted path, or that of the module whose code called the function.
        family: convolution, norm, activation, pooling, dense, join, moving, module, run, end or other.
        detail: settings in words, such as `3, stride 2`.
        shape: of the output, without the batch axis, in words.
        parameters, multiply_adds: as in the table, of this call.
        reads: the boxes it hears from, by name, wherever they are.
        items: what lies inside, in the order of the pass.
        ranks: numbers of the items, rank by rank from above, each from left to right.
        lines: connections between the items.
        lanes: how many lanes there are beside the ranks.
    """

    label: str
    name: str = ""
    path: str = ""
    family: str = "module"
    detail: str = ""
    shape: str = ""
    parameters: int = 0
    multiply_adds: int = 0
    reads: tuple[str, ...] = ()
    items: tuple[GraphBox, ...] = ()
    ranks: tuple[tuple[int, ...], ...] = ()
    lines: tuple[GraphLine, ...] = ()
    lanes: int = 0

    @property
    def count(self) -> int:
        """How many boxes lie inside, on all levels."""
        return sum(1 + item.count for item in self.items)
