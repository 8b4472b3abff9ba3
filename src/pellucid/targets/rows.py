"""Targets of pictures put together anew, and the probability that belongs to a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pellucid.contracts import Frame, Model, Scores
from pellucid.targets.answers import has_probabilities
from pellucid.targets.base import Interpretation, Target, TargetContext
from pellucid.targets.classes import Against, Logit, Probability


@dataclass(frozen=True, eq=False)
class Reindexed:
    """A resolved target whose pictures come in another order, some of them several times.

    Attributes:
        target: of the pictures as they were.
        pictures: which of them each picture is now, `[n]`.
    """

    target: Target
    pictures: Tensor

    def fit(self, scene: TargetContext) -> Target:
        return self

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        return self

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        return self.target.score(output, self.pictures[samples], model)

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        return ("the target of a changed picture",) * len(frames)


def of_rows(target: Target, pictures: Tensor) -> Target:
    """The resolved target of pictures, for a batch of which row i is `pictures[i]`."""
    if isinstance(target, Logit) and target.classes is not None:  # methods ask whether a target is a plain class
        own = target.classes
        return target if len(own) == 1 else type(target)(tuple(own[k] for k in pictures.tolist()))
    if isinstance(target, Against):
        return Against(of_rows(target.target, pictures))
    return Reindexed(target, pictures)


def as_probability(target: Target, model: Model) -> Target:
    """The probability of the class that a target scores; the target itself when it is no class's score, or has none."""
    if isinstance(target, Against):
        return Against(as_probability(target.target, model))
    return Probability(target.classes) if type(target) is Logit and has_probabilities(model) else target


def is_probability(target: Target) -> bool:
    """Whether what a target gives is a probability, 0 to 1."""
    return is_probability(target.target) if isinstance(target, Against) else isinstance(target, Probability)
