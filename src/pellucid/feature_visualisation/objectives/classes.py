"""Objectives of the network's scores."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pellucid.errors import BadOption
from pellucid.feature_visualisation.objectives.catalogue import Named, entry
from pellucid.feature_visualisation.objectives.context import ObjectiveContext
from pellucid.feature_visualisation.objectives.layer import pick
from pellucid.targets import probabilities
from pellucid.targets.class_names import class_index


@entry("logit")
@dataclass(frozen=True)
class ClassLogit(Named):
    """Score of a class before any softmax, by number or name; or of one class for each picture."""

    each = ("target",)
    target: int | str | tuple[int, ...]

    @property
    def needs_scores(self) -> bool:
        """The output is looked at."""
        return True

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The score."""
        scores = _scores(seen)
        unit = class_index(self.target, seen.model) if isinstance(self.target, str) else self.target
        return pick(scores, unit, 1, str(self))


@entry("probability")
@dataclass(frozen=True)
class ClassProbability(ClassLogit):
    """Probability of a class, after softmax unless the scores are some: it grows as all other classes shrink."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The probability, 0 to 1."""
        unit = class_index(self.target, seen.model) if isinstance(self.target, str) else self.target
        return pick(probabilities(_scores(seen), seen.model), unit, 1, str(self))


def _scores(seen: ObjectiveContext) -> Tensor:
    if seen.scores is None:
        raise BadOption("The network's output has no class scores.")
    return seen.scores
