"""What a method sees of the network: questions about changed pictures, and numbered random draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from torch import Tensor

from pellucid.contracts.axes import Map, Maps
from pellucid.contracts.geometry import Frame
from pellucid.contracts.layers import Site
from pellucid.contracts.method import Method
from pellucid.contracts.model import InputPart


@dataclass(frozen=True)
class VariantScores:
    """What the model said to every variant of every picture.

    Attributes:
        score: the target's score, `[batch, count]`, or of the first variants only if the work was stopped and the
            method can do with less.
        top: index of the top class, of the same shape; None when the output has no classes to choose among.
        deviation: of fast answers, the largest difference from exact ones where both were computed.
    """

    score: Tensor
    top: Tensor | None
    deviation: float | None = None


Perturbation: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`change(rows, samples, numbers)`: `rows` `[n, ...]` are fresh copies of the pictures' values, `samples` `[n]` says
which picture each is of and `numbers` `[n]` which of the variants 0..count-1 it shall become; returns the changed rows,
which may be the same tensor."""


@dataclass(frozen=True, eq=False)
class LocalPerturbation:
    """A `Perturbation` that touches one box of the input and leaves the rest: it can be scored without whole passes.

    Attributes:
        boxes: the first place of each variant's box along every axis, then the places after the last, in pixels of the
            model's input (of a picture: first row, first column, row and column after the last), `[count, 2 * axes]`,
            or `[batch, count, 2 * axes]` where they differ from input to input. An empty box leaves the input as it is.
        paint: `paint(parts, samples, numbers, corners)`: as `Perturbation`, for copies of parts of the inputs that
            hold the boxes, `[n, channel, *axes]`; `corners` `[n, axes]` is where each begins in its input.
    """

    boxes: Tensor
    paint: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

    def __call__(self, rows: Tensor, samples: Tensor, numbers: Tensor) -> Tensor:
        """Change whole inputs."""
        return self.paint(rows, samples, numbers, numbers.new_zeros(len(numbers), self.boxes.shape[-1] // 2))


class NamedInputs(Protocol):
    """Reads other inputs that an option names: the engine knows no kind of input."""

    def picture(self, name: str) -> Maps:
        """A file or a sample, as the model's input `[1, channel, row, column]`."""

    def labels(self, name: str) -> Tensor:
        """A label map from a file, as the model sees the pictures of the batch, int64 `[row, column]`."""

    def of_frames(self, frames: Sequence[Frame]) -> NamedInputs:
        """The same for a batch whose pictures lie so in the model's input."""


@dataclass
class SamplesDone:
    """How far a piece of work that may end early has come: `done` of `total` samples for each picture."""

    total: int
    done: int = 0


class PartLike(Protocol):
    """What a method sees of one input among several that are explained together; see `ProbeLike`."""

    @property
    def part(self) -> InputPart:
        """Its name and shape."""

    @property
    def is_tabular(self) -> bool:
        """Whether its rows have no channels."""

    @property
    def parts(self) -> Sequence[PartLike]:
        """Empty: it is one."""

    def grey(self, level: float) -> Tensor | None:
        """As `ProbeLike.grey`."""

    def picture(self, name: str) -> Maps:
        """As `ProbeLike.picture`."""

    def labels(self, name: str) -> Tensor:
        """As `ProbeLike.labels`."""


class ProbeLike(Protocol):
    """What a method sees of `capture.probe.Probe`, where each of these is explained."""

    @property
    def site(self) -> Site | None:
        """The layer in question."""

    @property
    def is_tabular(self) -> bool:
        """Whether the model takes rows of features, which the pictures are then: `[batch, 1, feature]`."""

    @property
    def parts(self) -> Sequence[PartLike]:
        """What is known of each of several inputs that are explained together; empty for a lone one."""

    @property
    def target(self) -> Any:
        """The resolved `targets.Target`."""

    @property
    def base(self) -> Method | None:
        """The method named by the option `of`."""

    def score(
        self, count: int, change: Perturbation, *, least: int | None = None, step: int = 1, fast: bool = False
    ) -> VariantScores:
        """Score variants of each picture; with `least`, the first ones will do when the work is stopped."""

    def interruptible(self, total: int, least: int) -> AbstractContextManager[SamplesDone]:
        """Work that the user may end early."""

    def each(
        self,
        count: int,
        change: Perturbation,
        function: Callable[..., Any] | None = None,
        target: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Run the method named by the option `of`, or a one-pass function, on variants of each picture."""

    def late(self, count: int, change: Perturbation) -> VariantScores:
        """Score variants of each picture's activation at the site."""

    def read(self) -> Maps:
        """The activation at the site."""

    def own_mask(self) -> Map | None:
        """The mask that the network itself draws, None when it draws none."""

    def rivals(self, count: int) -> Any:
        """Mean score of the classes nearest the target's, as a target for `each`; None if the target is no class."""

    def residual(self) -> Any:
        """Score and log-probability of the target's class, as a target for `each`; None if there are not both."""

    def grey(self, level: float) -> Tensor | None:
        """The model's input value for a grey of 0 (black) to 1 (white), None when that is not known."""

    def picture(self, name: str) -> Maps:
        """Another picture, a file or a sample, as the model's input `[1, channel, row, column]`."""

    def labels(self, name: str) -> Tensor:
        """A label map from a file, as the model sees the pictures, int64 `[1, row, column]`."""


class Noise(Protocol):
    """What a method sees of `capture.randomness.Draws`: randomness by number, never by order."""

    def normal(self, numbers: Tensor, like: Tensor) -> Tensor:
        """Standard normal rows shaped as `like`."""

    def uniform(self, numbers: Tensor, like: Tensor) -> Tensor:
        """Uniform rows in [0, 1) shaped as `like`."""
