"""Objectives: small immutable expressions of what a picture shall bring about. They are always made large.

`channel("blocks.5", 12) + 0.5 * logit("zebra") - 0.01 * tv()` is such an expression in Python, in a manifest and on the
command line alike: `str` writes it, `parse` reads it.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

from torch import Tensor

from pellucid.contracts import Model, Site
from pellucid.errors import BadOption, unknown

T = TypeVar("T")


@dataclass
class ObjectiveContext:
    """What an objective may look at in one step.

    Attributes:
        model: the network, with what its scores were measured to be if they are wanted.
        pictures: before any transform, `[batch, channel, row, column]`, 0 to 1; over plain grey if they have alpha.
        given: the same as the network's input, normalised.
        layers: what the layers give for the transformed pictures.
        scores: `[batch, class]` before any softmax; None where no objective asks.
        edges: where gradients towards the layers flow to.
        picture: a photograph at the size of these, `[1, channel, row, column]`, 0 to 1, by its name.
        of_picture: what a layer gives for a photograph, in the layer's own layout.
        as_maps: what a layer gives, or its gradient, as `[batch, channel, row, column]`, by the layer's site.
        maps_of_picture: `as_maps` of a photograph, at the size of these pictures or at the one that is named.
        opacity: of pictures with alpha, `[batch, row, column]`, 0 to 1.
        kept: what an objective has worked out once and needs at every step, by a key of its own.
    """

    model: Model
    pictures: Tensor
    given: Tensor
    layers: Mapping[Site, Tensor]
    edges: Mapping[Site, Any]
    scores: Tensor | None
    of_picture: Callable[[str, Site], Tensor]
    as_maps: Callable[[Site, Tensor], Tensor]
    maps_of_picture: Callable[..., Tensor]
    picture: Callable[[str], Tensor]
    opacity: Tensor | None = None
    kept: dict[Hashable, Any] = field(default_factory=dict)


class Objective(ABC):
    """What a picture shall bring about: a number per picture, to be made large. Combine with + - * and /.

    Attributes:
        each: names of fields that may hold a tuple, one value for each picture of the batch.
        together: whether it compares the pictures of a batch with each other.
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
        return Combined("+", self, _lift(other))

    def __radd__(self, other: Weight) -> Objective:
        return Combined("+", _lift(other), self)

    def __sub__(self, other: Weight) -> Objective:
        return Combined("-", self, _lift(other))

    def __rsub__(self, other: Weight) -> Objective:
        return Combined("-", _lift(other), self)

    def __mul__(self, other: Weight) -> Objective:
        return Combined("*", self, _lift(other))

    def __rmul__(self, other: Weight) -> Objective:
        return Combined("*", _lift(other), self)

    def __truediv__(self, other: Weight) -> Objective:
        return Combined("/", self, _lift(other))

    def __rtruediv__(self, other: Weight) -> Objective:
        return Combined("/", _lift(other), self)

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


class Named(Objective):
    """Base of the objectives of the catalogue: dataclasses whose fields are their arguments."""

    name: str = ""

    def __str__(self) -> str:
        given = []
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if value != each.default:
                text = str(value) if isinstance(value, Objective) else repr(value)
                given.append(text if each.default is each.default_factory else f"{each.name}={text}")
        return f"{self.name}({', '.join(given)})"


CATALOGUE: dict[str, type[Named]] = {}
"""Every objective by the name that stands in expressions."""


def entry(name: str) -> Callable[[type[Named]], type[Named]]:
    """Put an objective into the catalogue, under the name that it has in expressions."""

    def add(kind: type[Named]) -> type[Named]:
        kind.name = name
        CATALOGUE[name] = kind
        return kind

    return add


def parse(text: str) -> Objective:
    """Read an expression such as `channel("features.5", 12) - 0.01 * tv()`.

    Nothing but numbers, texts, tuples, the objectives of the catalogue and + - * / is understood, so no text can run
    anything.

    Raises:
        BadOption: it cannot be read; the message says where.
        UnknownName: an objective that does not exist.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        where = f" at {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise BadOption(
            f'The objective {text!r} cannot be read{where}. Write it as in channel("layer4", 12).'
        ) from error
    made = _read(tree, text)
    if not isinstance(made, Objective):
        raise BadOption(f'{text!r} is a {type(made).__name__}, not an objective. Write it as in logit("zebra").')
    return made


_SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def _read(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return node.value
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_read(each, text) for each in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_read(node.operand, text)
    if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        left, right = _read(node.left, text), _read(node.right, text)
        if isinstance(left, Objective) or isinstance(right, Objective):
            return Combined(_SIGNS[type(node.op)], _lift(left), _lift(right))
        raise BadOption(f"{ast.unparse(node)!r} in {text!r} joins no objectives.")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(node, node.func.id, text)
    raise BadOption(
        f"{ast.unparse(node)!r} in {text!r} is not understood. Objectives are {', '.join(sorted(CATALOGUE))}, joined "
        "by + - * and /."
    )


def _call(node: ast.Call, name: str, text: str) -> Objective:
    if name not in CATALOGUE:
        raise unknown("objective", name, CATALOGUE, f"Objectives: {', '.join(sorted(CATALOGUE))}.")
    args = [_read(each, text) for each in node.args]
    kwargs = {each.arg or "": _read(each.value, text) for each in node.keywords}
    try:
        return CATALOGUE[name](*args, **kwargs)
    except TypeError as error:
        wanted = ", ".join(each.name for each in fields(CATALOGUE[name]))  # type: ignore[arg-type]
        raise BadOption(f"{ast.unparse(node)!r} does not fit: {name}({wanted}). {error}.") from error


def _lift(value: object) -> Objective:
    if isinstance(value, Objective):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Constant(float(value))
    if isinstance(value, tuple) and value and all(isinstance(each, int | float) for each in value):
        return Constant(tuple(float(each) for each in value))
    raise BadOption(f"Expected an objective or a number, got {value!r}.")
