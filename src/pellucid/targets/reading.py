"""Which kind of output a model has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Frame, Model, Prediction
from pellucid.errors import BadOutput
from pellucid.targets.base import Interpretation, Target
from pellucid.targets.classes import ClassScores
from pellucid.targets.detections import Candidates, Detections
from pellucid.targets.outputs import class_scores, scores_of
from pellucid.targets.regions import PixelClasses


def read(output: Any, model: Model) -> Interpretation:
    """What an output says, row by row."""
    with torch.no_grad():
        scores = scores_of(output, model)
        if isinstance(scores, Candidates):
            return Detections.of_output(scores)
        classes = class_scores(output, model)
        if isinstance(classes, Tensor):
            return ClassScores(classes)
        if isinstance(scores, Tensor) and scores.ndim == 4 and scores.is_floating_point():
            return PixelClasses.of_scores(scores, model)
        return NotUnderstood(classes)


@dataclass(frozen=True)
class NotUnderstood:
    """Reading of an output that is not understood: it says nothing, and why."""

    why: str = "nobody asked the model what it sees"
    leading = "the top class of each picture"

    def first(self, count: int) -> NotUnderstood:
        return self

    def placed(self, samples: Tensor) -> NotUnderstood:
        return self

    def join(self, others: Sequence[NotUnderstood]) -> NotUnderstood:
        return self

    def finite(self) -> bool:
        return True

    def top(self, rank: int, model: Model) -> Target:
        raise BadOutput(self.why)

    def of(self, target: Any, model: Model) -> Target:
        raise BadOutput(self.why)

    def predictions(self, model: Model, frames: Sequence[Frame], most: int) -> tuple[tuple[Prediction, ...], ...]:
        return ()
