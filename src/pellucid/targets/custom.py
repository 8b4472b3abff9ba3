"""A function of the user's own as target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pellucid.contracts import Frame, Model, Scores
from pellucid.errors import BadOutput
from pellucid.targets.base import Interpretation, Target, TargetContext
from pellucid.targets.outputs import picked


@dataclass(frozen=True)
class Custom:
    """Any function of the model's output that gives one number per row."""

    function: Callable[[Any], Tensor]

    def fit(self, scene: TargetContext) -> Target:
        return self

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        return self

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        scores = self.function(picked(output, model))
        if not isinstance(scores, Tensor) or scores.shape != samples.shape:
            got = list(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise BadOutput(f"Expected {len(samples)} scores, one per row, from the target function, got {got}.")
        return scores

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        return (getattr(self.function, "__name__", "custom target"),) * len(frames)
