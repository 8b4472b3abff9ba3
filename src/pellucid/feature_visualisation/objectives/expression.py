"""Objectives as expressions: small immutable trees of what a picture shall bring about, always made large.

`channel("blocks.5", 12) + 0.5 * logit("zebra") - 0.01 * tv()` is such an expression in Python, in a manifest and on the
command line alike: `str` writes it, `parsing.parse` reads it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

from torch import Tensor

from pellucid.contracts import Site
from pellucid.errors import BadOption
from pellucid.feature_visualisation.objectives.context import ObjectiveContext

T = TypeVar("T")


class Objective(ABC):
    """What a picture shall bring about: a number per picture, to be made large. Combine with + - * and /.

    Attributes:
        each: names of fields that may hold a tuple, one value for each picture of the batch.
        together: True if it compares the pictures of a batch with each other.
    """

    each: ClassVar[tuple[str, ...]] = ()
    together: ClassVar[bool] = False

    @abstractmethod
    def value(self, seen: ObjectiveContext) -> Tensor:
        """The number, `[batch]`."""

    @property
    def parts(self) -> tuple[Objective, ...]:
        """The objectives that this one is made of."""
        return ()

    @property
    def site(self) -> Site | None:
        """The layer that it looks at."""
        return None

    @property
    def sites(self) -> tuple[Site, ...]:
        """The layers that it looks at by itself, without its parts."""
        return () if self.site is None else (self.site,)

    @property
    def needs_scores(self) -> bool:
        """Whether it looks at the network's output."""
        return False

    def walk(self) -> Iterator[Objective]:
        """This objective and all that it is made of."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def __add__(self, other: Weight) -> Objective:
        return Combined("+", self, lift(other))

    def __radd__(self, other: Weight) -> Objective:
        return Combined("+", lift(other), self)

    def __sub__(self, other: Weight) -> Objective:
        return Combined("-", self, lift(other))

    def __rsub__(self, other: Weight) -> Objective:
        return Combined("-", lift(other), self)

    def __mul__(self, other: Weight) -> Objective:
        return Combined("*", self, lift(other))

    def __rmul__(self, other: Weight) -> Objective:
        return Combined("*", lift(other), self)

    def __truediv__(self, other: Weight) -> Objective:
        return Combined("/", self, lift(other))

    def __rtruediv__(self, other: Weight) -> Objective:
        return Combined("/", lift(other), self)

    def __neg__(self) -> Objective:
        return Combined("*", Constant(-1.0), self)


Weight = Objective | float | tuple[float, ...]
"""What joins an objective: another, a number, or a number for each picture."""


def one_each(given: T | tuple[T, ...], rows: int, where: str) -> list[T]:
    """One value for each of `rows` pictures, from one or from a tuple; views of one picture stand side by side."""
    values = list(given) if isinstance(given, tuple) else [given]
    if not values or rows % len(values):
        raise BadOption(f"{where} names {len(values)} values for {rows} pictures. Give one, or one for each.")
    return [value for value in values for _ in range(rows // len(values))]


@dataclass(frozen=True)
class Constant(Objective):
    """A number; or one for each picture, as in `(1.0, 0.5, 0.0) * channel("layer4", 3)`."""

    each = ("number",)
    number: float | tuple[float, ...]

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The number, for every picture."""
        return seen.pictures.new_tensor(one_each(self.number, len(seen.pictures), str(self)))

    def __str__(self) -> str:
        if isinstance(self.number, tuple):
            return f"({', '.join(map(_short, self.number))},)"
        return _short(self.number)


def _short(number: float) -> str:
    """A number in as few digits as say it exactly."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)


def rebuilt(objective: Objective, change: Callable[[Objective], Objective]) -> Objective:
    """The expression with every part put through `change`, the innermost first."""
    names = [each.name for each in fields(objective)]  # type: ignore[arg-type]
    parts = {name: part for name in names if isinstance(part := getattr(objective, name), Objective)}
    inner = {name: rebuilt(part, change) for name, part in parts.items()}
    return change(replace(objective, **inner) if inner else objective)  # type: ignore[type-var]


def of_pictures(wanted: Objective, some: Sequence[int], count: int) -> Objective:
    """The objective of some of the pictures: where one unit is named for each, theirs."""

    def theirs(part: Objective) -> Objective:
        changes: dict[str, Any] = {}
        for name in part.each:
            value = getattr(part, name)
            if isinstance(value, tuple):
                each = one_each(value, count, str(part))
                changes[name] = tuple(each[k] for k in some)
        return replace(part, **changes) if changes else part  # type: ignore[type-var]

    return rebuilt(wanted, theirs)


_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2}


@dataclass(frozen=True)
class Combined(Objective):
    """Two objectives joined by one of + - * and /."""

    sign: str
    left: Objective
    right: Objective

    @property
    def parts(self) -> tuple[Objective, ...]:
        """Left and right."""
        return (self.left, self.right)

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Both values joined."""
        a, b = self.left.value(seen), self.right.value(seen)
        if self.sign in "+-":
            return a + b if self.sign == "+" else a - b
        return a * b if self.sign == "*" else a / b

    def __str__(self) -> str:
        return f"{self._side(self.left, tie=False)} {self.sign} {self._side(self.right, tie=True)}"

    def _side(self, part: Objective, *, tie: bool) -> str:
        strength = _STRENGTH.get(part.sign, 3) if isinstance(part, Combined) else 3
        own = _STRENGTH[self.sign]
        weak = strength < own or (tie and strength == own)
        negative = isinstance(part, Constant) and not isinstance(part.number, tuple) and part.number < 0 and tie
        return f"({part})" if weak or negative else str(part)


def lift(value: object) -> Objective:
    """A number, or one for each picture, as an objective.

    Raises:
        BadOption: anything else.
    """
    if isinstance(value, Objective):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Constant(float(value))
    if isinstance(value, tuple) and value and all(isinstance(each, int | float) for each in value):
        return Constant(tuple(float(each) for each in value))
    raise BadOption(f"Expected an objective or a number, got {value!r}.")
