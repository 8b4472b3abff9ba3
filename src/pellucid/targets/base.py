"""What every target can do, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from pellucid.contracts import Frame, Model, Prediction, Scores
from pellucid.errors import BadOption

TargetLike: TypeAlias = "int | str | Target | Sequence[int | str] | Tensor | Callable[[Any], Tensor] | None"
"""What the public functions accept: None is the top class of each sample before softmax."""


def _nothing(_: Any) -> Any:
    raise BadOption("There is no model at hand to look at other pictures.")


@dataclass(frozen=True)
class TargetContext:
    """What one call is about, as far as a target must know it.

    Attributes:
        model: that is explained.
        frames: one per picture: how its pixels lie in the model's input.
        output: what the model gives for other pictures, in any form that `explain` takes.
    """

    model: Model
    frames: tuple[Frame, ...]
    output: Callable[[Any], Any] = field(default=_nothing, repr=False)


@runtime_checkable
class Target(Protocol):
    """A scalar per row of the model's output. The four are called in this order, the last two on what came before."""

    def fit(self, scene: TargetContext) -> Target:
        """The target for these pictures: counts checked, names turned into numbers, places into the input's pixels.

        Raises:
            BadOption: this cannot be a target of these pictures.
            UnknownName: a class that the model does not have.
        """
        ...

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        """Fix what depends on the model's own prediction.

        Raises:
            BadOutput: it depends on it, and the model says nothing that is understood.
        """
        ...

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        """Score each row `[n]` of an output; `samples` `[n]` says which picture each row belongs to."""
        ...

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        """What is explained, one text per picture."""
        ...


class Interpretation(Protocol):
    """What the model says about some pictures, without being asked for anything in particular. Detached."""

    @property
    def leading(self) -> str:
        """What stands first by default, in words for people."""
        ...

    def first(self, count: int) -> Interpretation:
        """Of the first `count` rows only."""
        ...

    def placed(self, samples: Tensor) -> Interpretation:
        """With what row i says as entry `samples[i]`, so that targets find it by the picture's number."""
        ...

    def join(self, others: Sequence[Any]) -> Interpretation:
        """Together with what it says about the pictures that follow."""
        ...

    def finite(self) -> bool:
        """Whether all its numbers are."""
        ...

    def top(self, rank: int, model: Model) -> Target:
        """What stands at `rank` (0 is first) for each picture.

        Raises:
            BadOption: there is no such rank.
        """
        ...

    def of(self, target: Any, model: Model) -> Target:
        """What a `Logit` or a relative of it means for this kind of output.

        Raises:
            BadOption: the model sees no such thing in a picture.
            BadOutput: it means nothing here.
        """
        ...

    def predictions(self, model: Model, frames: Sequence[Frame], most: int) -> tuple[tuple[Prediction, ...], ...]:
        """For people: what it says about each picture, best first, at most so many."""
        ...
