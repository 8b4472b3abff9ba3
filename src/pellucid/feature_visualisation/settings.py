"""How a visualisation is run: what is not a choice of the picture itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pellucid.feature_visualisation.checkpoint import CheckpointFolder

Progress = Callable[[str, int, int], None]
"""Called with what is going on, steps done and steps in all."""
Watch = Callable[[int, Tensor, Callable[[], Tensor]], None]
"""Called after each step with its number, the objective of each picture, and a way to see the pictures."""


@dataclass(frozen=True)
class RunSettings:
    """What every call that draws takes: `dream`, the composed recipes, the icons of an atlas.

    Attributes:
        size: rows and columns in pixels, or one number for both; None is the model's own.
        seed: integer that starts all random draws; those of a picture depend on it and the picture's number only.
        chunk: number of pictures that are optimised together; None is as many as memory allows and make it faster.
        snapshot: number of steps after which the pictures are kept, again and again; None keeps none.
        progress: function that is told of each step.
        watch: function that is told of each step with the pictures.
        keep: folder where the state is kept, from which an interrupted call goes on; None keeps nothing.
    """

    size: int | tuple[int, int] | None = None
    seed: int = 0
    chunk: int | None = None
    snapshot: int | None = None
    progress: Progress | None = None
    watch: Watch | None = None
    keep: str | Path | CheckpointFolder | None = None

    def part(self, done: int, parts: int) -> Progress | None:
        """Progress of one of several parts of equal length, counted over all of them."""
        tell = self.progress
        if tell is None:
            return None
        return lambda label, step, steps: tell(label, done * steps + step, parts * steps)
