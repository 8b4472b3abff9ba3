"""Operators: one record for each of torch's operations, under all the names that it goes by.

An operation has three spellings: the Python function that calls it, the ATen operation that computes it, and the node
that it leaves in the autograd graph. Records say which belong together; what a transformation does with an operator
stands in that transformation's own table, keyed by the record.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_PLACES = (torch, F, Tensor, torch._C._nn, torch.special)


def functions(*names: str) -> frozenset[Callable[..., Any]]:
    """Every function of torch, `torch.nn.functional`, `torch.special` and tensors that goes by one of these names."""
    found = (getattr(place, name, None) for place in _PLACES for name in names)
    return frozenset(function for function in found if callable(function))


@dataclass(frozen=True)
class Signature:
    """Names of an operator's arguments in order, with their defaults.

    Attributes:
        arguments: name and default; arguments that must be given have the default None.
        others: where a function has another order than the rest of its operator.
    """

    arguments: tuple[tuple[str, Any], ...]
    others: Mapping[Callable[..., Any], Signature] = field(default_factory=dict)

    def __call__(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], function: Callable[..., Any] | None = None
    ) -> dict[str, Any]:
        """All arguments of a call by name, defaults included.

        Raises:
            TypeError: a call with other arguments.
        """
        other = self.others.get(function) if self.others and function is not None else None
        arguments = self.arguments if other is None else other.arguments
        named = dict(arguments)
        if len(args) > len(arguments):
            raise TypeError(f"expected at most {len(arguments)} arguments, got {len(args)}")
        for (name, _), value in zip(arguments, args, strict=False):
            named[name] = value
        for given, value in kwargs.items():
            name = arguments[0][0] if given == "self" else "dim" if given == "axis" else given
            if name not in named and name != "out":
                raise TypeError(f"expected one of {', '.join(named)}, got the argument {given}")
            named[name] = value
        return named


def signature(text: str, others: Mapping[Callable[..., Any], Signature] | None = None) -> Signature:
    """A signature as one writes it: `signature("input dim=None keepdim=False")`."""
    parts = (word.partition("=") for word in text.split())
    arguments = tuple((name, ast.literal_eval(value) if value else None) for name, _, value in parts)
    return Signature(arguments, others or {})


@dataclass(frozen=True, eq=False)
class Operator:
    """One operation of torch; two records are equal only if they are the same.

    Attributes:
        name: as people write it.
        functions: everything in Python that calls it: functions, methods of tensors, those that write in place.
        aten: names of the operations that compute it, without overload and without the underscore of in-place forms.
        node: names of its nodes in the autograd graph, as `plain_name` gives them.
        bind: (args, kwargs, function) -> all arguments by name.
        kind: family, which is the file that the record stands in.
        traits: what is true of it whoever asks; the words of `TRAITS`.
    """

    name: str
    functions: frozenset[Callable[..., Any]]
    aten: frozenset[str]
    node: frozenset[str]
    bind: Signature
    kind: str
    traits: frozenset[str]

    def __repr__(self) -> str:
        return self.name


TRAITS: Mapping[str, str] = {
    "elementwise": "each value is made of the one at its own place, and of numbers",
    "activation": "what a network may have between its layers",
    "squashing": "an activation between 0 and 1, such as gates are made of",
    "linear": "affine in what depends on the picture, as long as only one operand does",
    "linear in the first": "the same, and that operand must be the first",
    "weighted": "has weights and a bias, or adds a constant that its node does not tell",
    "summing": "affine in all operands together",
    "moving": "only moves, copies or leaves out values of one tensor, or pads it with constants",
    "joining": "puts values of several tensors side by side",
    "by mask": "takes each value from one of two places, by a mask that may depend on the picture",
    "choosing": "hands on the largest or smallest of several values",
    "composite": "written in Python, of simpler operations, and leaves only their names",
    "constant": "its result does not depend on values, or has no gradient",
    "random": "draws numbers while training",
}
ROUTES = frozenset({"moving", "joining", "by mask", "choosing"})
"""Traits of what only moves values about: its gradient hands every signal to the value that it belongs to."""

_OPERATORS: list[Operator] = []
_BY_FUNCTION: dict[Any, Operator] = {}
_BY_ATEN: dict[str, Operator] = {}
_BY_NODE: dict[str, Operator] = {}
_INPUT = signature("input")


def operator(
    name: str,
    called: str | None = None,
    *,
    kind: str,
    aten: str | None = None,
    node: str | None = None,
    bind: str | Signature = _INPUT,
    traits: str = "",
    also: frozenset[Callable[..., Any]] = frozenset(),
) -> Operator:
    """A record, entered into the vocabulary.

    Args:
        name: of the operator.
        called: names of its functions, which may be found in several places; by default its own.
        kind: family.
        aten: ATen names; by default its own.
        node: names of nodes; by default the ATen names in short.
        bind: its signature.
        traits: split by commas.
        also: further functions, where a name alone would find others too.

    Raises:
        ValueError: a function that another operator has, or a trait that does not exist.
    """
    names = (name if called is None else called).split()
    atens = frozenset((name if aten is None else aten).split())
    words = frozenset(filter(None, map(str.strip, traits.split(","))))
    if not words <= set(TRAITS):
        raise ValueError(f"expected traits among {', '.join(TRAITS)}, got {', '.join(sorted(words - set(TRAITS)))}")
    made = Operator(
        name,
        functions(*names) | also,
        atens,
        frozenset(a.replace("_", "") for a in atens) if node is None else frozenset(node.split()),
        signature(bind) if isinstance(bind, str) else bind,
        kind,
        words,
    )
    enter(made)
    return made


def enter(made: Operator) -> None:
    """Let a record be found by its names; of those that share one, the one that is called so is found, else the first.

    Raises:
        ValueError: a function that another operator has.
    """
    for function in made.functions:
        if _BY_FUNCTION.setdefault(function, made) is not made:
            raise ValueError(f"{function} belongs to {_BY_FUNCTION[function]}, not to {made}")
    for table, names, own in ((_BY_ATEN, made.aten, made.name), (_BY_NODE, made.node, made.name.replace("_", ""))):
        for name in names:
            if name == own:
                table[name] = made
            table.setdefault(name, made)
    _OPERATORS.append(made)


def leave(made: Operator) -> None:
    """Take a record out again, as tests do that add one."""
    _OPERATORS.remove(made)
    tables: tuple[dict[Any, Operator], ...] = (_BY_FUNCTION, _BY_ATEN, _BY_NODE)
    for table in tables:
        for name in [name for name, owner in table.items() if owner is made]:
            del table[name]


def every_operator() -> tuple[Operator, ...]:
    """The whole vocabulary, in the order of its files."""
    return tuple(_OPERATORS)


def called(function: Any) -> Operator | None:
    """The operator that a function of Python calls."""
    return _BY_FUNCTION.get(function)


def computed_by(aten: str) -> Operator | None:
    """The operator that an ATen operation computes, by its name without overload."""
    return _BY_ATEN.get(aten) or _BY_ATEN.get(aten.rstrip("_"))


def behind(node: str) -> Operator | None:
    """The operator that left a node in a graph, by the node's plain name."""
    return _BY_NODE.get(node)


def of(*traits: str, kinds: tuple[str, ...] = ()) -> Iterator[Operator]:
    """Operators with any of these traits, or of one of these families."""
    return (each for each in _OPERATORS if not each.traits.isdisjoint(traits) or each.kind in kinds)


def declined(reason: str, *operators: Operator) -> dict[Operator, str]:
    """Operators that a transformation has no rule for, each with the reason, for its table `DECLINED`."""
    return dict.fromkeys(operators, reason)
