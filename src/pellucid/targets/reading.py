"""Which kind of output a model has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.errors import BadOutput
from pellucid.numerics import full_precision
from pellucid.targets.base import Reading, Target
from pellucid.targets.classes import ClassScores
from pellucid.targets.outputs import logits
from pellucid.types import Frame, Model, Prediction


def read(output: Any, model: Model) -> Reading:
    """What an output says, row by row."""
    with torch.no_grad():
        try:
            return ClassScores(full_precision(logits(output, model).detach()))
        except BadOutput as error:
            return Unread(str(error))


@dataclass(frozen=True)
class Unread:
    """Reading of an output that is not understood: it says nothing, and why."""

    why: str = "nobody asked the model what it sees"

    def first(self, count: int) -> Unread:
        return self

    def placed(self, samples: Tensor) -> Unread:
        return self

    def join(self, others: Sequence[Unread]) -> Unread:
        return self

    def finite(self) -> bool:
        return True

    def top(self, rank: int, model: Model) -> Target:
        raise BadOutput(self.why)

    def of(self, classes: tuple[int, ...], model: Model) -> Target:
        raise BadOutput(self.why)

    def predictions(self, model: Model, frames: Sequence[Frame], most: int) -> tuple[tuple[Prediction, ...], ...]:
        return ()
