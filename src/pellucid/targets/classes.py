"""Targets that are classes: by number or name, by rank, one against another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Frame, Model, Prediction, Scores
from pellucid.errors import BadOption
from pellucid.targets.answers import (
    MOST_LABELS,
    check_sigmoid,
    has_probabilities,
    independent,
    log_probabilities,
    probabilities,
)
from pellucid.targets.base import Interpretation, Target, TargetContext
from pellucid.targets.class_names import fit_classes, listed
from pellucid.targets.outputs import logits

UP, DOWN = " up", " down"
"""Of a quantity: what pushes it up, and what pushes it down."""


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Reading of a classifier: its scores `[n, class]`, detached, in float32 or better."""

    scores: Tensor
    leading = "the top class of each picture"

    def first(self, count: int) -> ClassScores:
        return ClassScores(self.scores[:count])

    def placed(self, samples: Tensor) -> ClassScores:
        by_picture = self.scores.new_zeros(int(samples.max()) + 1, self.scores.shape[1])
        by_picture[samples] = self.scores
        return ClassScores(by_picture)

    def join(self, others: Sequence[ClassScores]) -> ClassScores:
        return ClassScores(torch.cat([self.scores, *(other.scores for other in others)]))

    def finite(self) -> bool:
        return bool(self.scores.isfinite().all())

    def top(self, rank: int, model: Model) -> Logit:
        if rank >= self.scores.shape[1]:
            raise BadOption(f"There is no rank {rank + 1}: {model.name} has {self.scores.shape[1]} classes.")
        if rank == 0:
            return Logit(tuple(self.scores.argmax(1).tolist()))
        return Logit(tuple(self.scores.sort(dim=1, descending=True, stable=True).indices[:, rank].tolist()))

    def of(self, target: Any, model: Model) -> Target:
        found: Target = target if target.classes is not None else type(target)(self.top(0, model).classes)
        return found

    def predictions(self, model: Model, frames: Sequence[Frame], most: int) -> tuple[tuple[Prediction, ...], ...]:
        best = self.scores.sort(dim=1, descending=True, stable=True).indices[:, :most]
        if model.answers == "regression":  # quantities are no rivals
            best = torch.arange(self.scores.shape[1]).expand_as(self.scores)[:, :most]
        if independent(model):  # all that are explained by default
            best = self.scores.sort(dim=1, descending=True, stable=True).indices[:, : max(most, MOST_LABELS)]
        known, unit = has_probabilities(model), model.unit or None
        chance = probabilities(self.scores.detach().float(), model).cpu() if known else self.scores.cpu()
        return tuple(
            tuple(
                Prediction(i, model.class_name(i), float(scores[i]), float(chances[i]) if known else None, unit=unit)
                for i in row
            )
            for row, scores, chances in zip(best.tolist(), self.scores.cpu(), chance, strict=True)
        )


@dataclass(frozen=True)
class Top:
    """What the model ranks at `rank` for each picture: 0 is its top class."""

    rank: int = 0

    def fit(self, scene: TargetContext) -> Target:
        return self

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        return reading.top(self.rank, model)

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        raise BadOption("A rank has no score before it is known which class stands there: call resolve first.")

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        return (f"class of rank {self.rank + 1}",) * len(frames)


@dataclass(frozen=True)
class Logit:
    """The score of a class before softmax.

    Attributes:
        classes: an index or name, or one per picture; None is the top class of each.
    """

    classes: Any = None

    def __post_init__(self) -> None:
        if self.classes is not None:
            object.__setattr__(self, "classes", listed(self.classes))

    def fit(self, scene: TargetContext) -> Target:
        return self if self.classes is None else type(self)(fit_classes(self.classes, scene))

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        return reading.of(self, model)

    def pick(self, scores: Tensor, samples: Tensor, model: Model) -> Scores:
        """Entry of each row's own class."""
        for index in (min(self.classes), max(self.classes)):
            if not 0 <= index < scores.shape[1]:
                raise BadOption(f"Class {index} is out of range: {model.name} has {scores.shape[1]} classes, from 0.")
        if len(self.classes) == 1:
            return scores[:, self.classes[0]]
        return scores.gather(1, torch.tensor(self.classes, device=scores.device)[samples, None])[:, 0]

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        return self.pick(logits(output, model), samples, model)

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        if self.classes is None:
            return ("the top class",) * len(frames)
        way = UP if model.answers == "regression" else ""
        return tuple(model.class_name(c) + way for c in self.classes * (len(frames) if len(self.classes) == 1 else 1))


class Probability(Logit):
    """The probability of a class, as the kind of output has it: after softmax, after sigmoid, or as it is.

    Saturates: its gradient vanishes where the model is sure.
    """

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        return self.pick(self.squeezed(logits(output, model), model), samples, model)

    def squeezed(self, scores: Tensor, model: Model) -> Tensor:
        """The probabilities `[n, class]` of scores.

        Raises:
            Refused: nothing says that they have any.
        """
        return probabilities(scores, model)

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        return tuple(f"probability of {name}" for name in super().labels(model, frames))


class Sigmoid(Probability):
    """The sigmoid of a score: the probability of a label that is right or wrong by itself, whatever the others are.

    The same as `Probability` where the output is known to be such (`answers="binary"`, `"multi-label"`), or already is
    a probability: no sigmoid is taken twice.
    """

    def squeezed(self, scores: Tensor, model: Model) -> Tensor:
        check_sigmoid(model)
        already = model.answers in ("probabilities", "log-probabilities")
        return probabilities(scores, model) if already else scores.sigmoid()


class Residual(Logit):
    """The score of a class plus the logarithm of its probability, ReST in arXiv:2501.06261.

    Unlike the score alone it knows the other classes; unlike the probability its gradient does not vanish.
    """

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        scores = logits(output, model)
        return self.pick(scores, samples, model) + self.pick(log_probabilities(scores, model), samples, model)

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        return tuple(f"score and log-probability of {name}" for name in super().labels(model, frames))


@dataclass(frozen=True)
class Against:
    """What speaks against another target: minus its score, or one minus its probability.

    Of a network with one score this is the other answer.

    Attributes:
        target: a target, or a class by index or name; None is the top class.
    """

    target: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", as_target(self.target))

    def fit(self, scene: TargetContext) -> Target:
        return Against(self.target.fit(scene))

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        return Against(self.target.resolve(reading, model))

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        found: Scores = self.target.score(output, samples, model)
        return 1 - found if isinstance(self.target, Probability) else -found

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        names = self.target.labels(model, frames)
        if model.answers == "regression" and type(self.target) is Logit:
            return tuple(f"{name.removesuffix(UP)}{DOWN}" for name in names)
        return tuple(f"against {name}" for name in names)


@dataclass(frozen=True)
class Margin:
    """The score of `first` minus the score of `second`: why this and not that.

    Attributes:
        first: a target, or a class by index or name; None is the top class.
        second: a target, or a class by index or name; None is the top class.
    """

    first: Any
    second: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", as_target(self.first))
        object.__setattr__(self, "second", as_target(self.second))

    def fit(self, scene: TargetContext) -> Target:
        return Margin(self.first.fit(scene), self.second.fit(scene))

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        return Margin(self.first.resolve(reading, model), self.second.resolve(reading, model))

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        first: Scores = self.first.score(output, samples, model)
        second: Scores = self.second.score(output, samples, model)
        return first - second

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        pairs = zip(self.first.labels(model, frames), self.second.labels(model, frames), strict=True)
        return tuple(f"{first} rather than {second}" for first, second in pairs)


@dataclass(frozen=True)
class Rivals:
    """The mean score of the `count` classes (or all others) whose scores lie closest to that of the class `first`."""

    first: Logit
    count: int = 3

    def fit(self, scene: TargetContext) -> Target:
        return self

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        return self

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        scores = logits(output, model)
        if scores.shape[1] < 2:
            raise BadOption(f"{model.name} has a single class, so it has no rivals.")
        numbers = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
        own = self.first.pick(numbers, samples, model)[:, None]
        distance = (scores - scores.gather(1, own)).detach().abs().scatter(1, own, torch.inf)
        rivals = distance.topk(min(self.count, scores.shape[1] - 1), 1, largest=False).indices
        return scores.gather(1, rivals).mean(1)

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        return tuple(f"{self.count} rivals of {name}" for name in self.first.labels(model, frames))


def as_target(value: Any) -> Target:
    """A target as it is, a class or one per picture by index or name as its score, None as the top class.

    Raises:
        BadOption: none of these.
    """
    if isinstance(value, Target):
        return value
    return Top() if value is None else Logit(value)
