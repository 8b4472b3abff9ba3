"""Activations written by hand: what a handful of elementwise calls does, found by running them on other values.

In one file, since what follows the calls, what runs them again and what judges the answer change together.

`torch.where(x > 0, x, 0)`, `x * (x > 0)` and `(x + x.abs()) / 2` are rectifiers as much as `relu` is, and `0.5 * x *
(1 + erf(x / sqrt(2)))` is GELU. No list of names tells. So the calls of a pass are followed; where several of them make
one value out of one other, they are run again on numbers of our own, which shows whether they are a rectifier.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from pellucid.capture.backward_rules.laws import (
    Function,
    answers_of,
    bends,
    is_power,
    law,
    numbers_like,
    slopes_as,
    squashes,
)
from pellucid.capture.operators import (
    ADDING,
    COMPOSITE,
    FACTORS,
    MEANS,
    SAMPLE_NORMS,
    WITH_WEIGHTS,
    Call,
    called,
    nodes_below,
    op,
)

_REDUCING = frozenset({op.MEAN, op.SUM, op.NANMEAN, op.NANSUM, op.LOGSUMEXP})
_CHOOSING = frozenset({op.AMAX, op.AMIN, op.MAX, op.MIN})
_JOINING = frozenset({op.CAT, op.STACK, op.SQUEEZE, op.EXPAND})
# Calls that hand values on or join them, and that no one would take for a layer.
_MOVING = _JOINING | {op.COPY}
# Calls that lay values out in another way; behind an order or a size along an axis they may end an activation.
_LAYING = frozenset({
    op.VIEW, op.PERMUTE, op.GETITEM, op.SPLIT, op.FLIP, op.ROLL, op.PAD, op.TAKE_ALONG_DIM, op.GATHER, op.INDEX_SELECT,
    op.TAKE,
})  # fmt: skip
_ROOTS = frozenset({op.POW, op.RECIPROCAL, op.RSQRT, op.SQRT})
_EACH_ALONE = ("activations", "arithmetic")
"""Families whose operators treat every place like any other where what computes them does, by torch's own tags."""
# What no record is about: reading a property, forms of one operator that write where a mask tells, work on masks.
_READING = frozenset(["bool", "get"])
_WRITING = frozenset(["setitem", "index_put", "masked_scatter"])
_ATEN = {"invert": "bitwise_not"}
# What networks are made of, and no one would write an activation with.
_LAYERS = WITH_WEIGHTS | SAMPLE_NORMS | COMPOSITE | (MEANS - {op.MEAN, op.SUM}) | {op.BATCH_NORM, op.FUSED_ATTENTION}
HARD_SIGMOID = "hardsigmoid written by hand"
_DEPTH = 24
"""Calls to look back: GELU written with tanh takes nine."""
_FEW = 4
"""Places along each axis that are enough, as each value is made like any other."""


@dataclass(frozen=True, eq=False)
class _Made:
    """A tensor that depends on the picture, and how it was made.

    Attributes:
        number: in the order of the pass.
        call: the call with `_Made` in place of such tensors; None where it is not to be run again.
        inputs: those of the call.
        out: the tensor itself, if anyone still has it.
        place: which of the call's results.
        decides: True if it is a decision by values, such as a mask, and has no gradient.
        power: the name of a power of values that was added up in it, if no root was taken of it since.
        covered: True if a rule holds for how it was made.
        constant: True if it has no gradient, whatever made it.
        folded: True if values along an axis were put in order or made one, and since then only laid out otherwise.
        like: a tensor of the same shape, type and device, without memory of its own.
        node: of the graph that made it.
    """

    number: int
    call: Call | None
    inputs: tuple[_Made, ...]
    out: Callable[[], Tensor | None]
    place: int | None = None
    decides: bool = False
    power: str = ""
    covered: bool = False
    constant: bool = False
    folded: bool = False
    like: Tensor = field(default_factory=lambda: torch.empty(0))
    node: Any = None


@dataclass(frozen=True)
class Rectifier:
    """scale * min(max(sign * x, 0), ceiling), as a call and those before it compute it; `in_place` writes it into x."""

    x: Tensor
    in_place: bool
    scale: float
    sign: float
    ceiling: float


class Handwritten:
    """Follows the calls of one pass.

    Args:
        rows: what the network is given.
        known: the name of an activation that torch has a node for; None for other nodes.

    Attributes:
        named: activations that are no rectifiers, by their nodes in the graph.
    """

    def __init__(self, rows: Tensor, known: Callable[[Any], str | None]) -> None:
        self.named: dict[Any, str] = {}
        self._rectifies = False
        self._known = known
        self._made: Any = WeakTensorKeyDictionary()
        self._numbers = itertools.count()
        self._made[rows] = self._plain(rows)

    @property
    def found(self) -> bool:
        """Whether the pass held anything written by hand."""
        return self._rectifies or bool(self.named)

    def rectifier(self, call: Call) -> Rectifier | None:
        """What a call that was not made yet would complete, if that is a rectifier of some earlier value."""
        inputs = self._inputs(call)
        if not inputs or not _can_complete(call, inputs):
            return None
        last = _Made(next(self._numbers), self._noted(call), inputs, lambda: None)
        for made in _bottlenecks(inputs, through=True):
            x = made.out()
            if x is None or self._made.get(x) is not made or not x.requires_grad:
                continue
            again = _again(last, made)
            few = _small(last, made, x, again)
            found = law(again, few)
            if found and few is not x and not all(map(_is_followed, _calls(last, made))):
                found = law(again, x)  # a part may be laid out otherwise than the whole
            if found and not slopes_as(found, again, few):  # a part of it is hidden from the gradient
                continue
            if found and (not _writes(call[0]) or (x is call[1][0] and found[:2] == (1.0, 1.0))):
                self._rectifies = True
                return Rectifier(x, _writes(call[0]), *found)
        return None

    @contextmanager
    def following(self, call: Call, *, covered: bool = False) -> Iterator[list[Any]]:
        """Write down a call that is made inside, and whether a rule covers it; its result is put into the list."""
        inputs, noted, results = self._inputs(call), self._noted(call), list[Any]()
        power = self._ask(call, inputs) if inputs and not covered else ""
        yield results
        outputs = [call[1][0]] if _writes(call[0]) else results
        tensors = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
        name, followed, rerun = _name(call[0]), _is_followed(call), _is_rerun(call)
        moves, chooses = _moves(call), called(call[0]) in _CHOOSING
        folded = any(made.folded for made in inputs) if moves or _lays(call) else not followed or chooses
        for place, out in enumerate(tensors if inputs else ()):
            chosen = any(made.decides for made in inputs)
            self._made[out] = _Made(
                next(self._numbers), noted if rerun else None, inputs if rerun else (), weakref.ref(out), place,
                not out.requires_grad and (out.dtype == torch.bool or chosen), power, covered, not out.requires_grad,
                folded and rerun and not covered, _like(out), out.grad_fn,
            )  # fmt: skip
            if chosen and followed and not covered and not moves and out.requires_grad and not _puts_rows(call):
                self.named[_node(out)] = f"a choice by values ({name})"

    def names(self, made: Collection[Any]) -> Iterator[str]:
        """Of the activations among the nodes of a graph."""
        return (self.named[node] for node in made if node in self.named)

    def _plain(self, tensor: Tensor) -> _Made:
        number = next(self._numbers)
        return _Made(number, None, (), weakref.ref(tensor), like=_like(tensor), node=tensor.grad_fn)

    def _inputs(self, call: Call) -> tuple[_Made, ...]:
        """How what a call is given was made, as far as it depends on the picture and not only its shape counts."""
        if _name(call[0]).startswith("new_") or _name(call[0]).endswith("_like"):
            return ()
        return tuple(dict.fromkeys(made for leaf in tree_leaves(call[1:]) if (made := self._of(leaf))))

    def _noted(self, call: Call) -> Call:
        func, args, kwargs = call
        return func, *tree_map(lambda leaf: self._of(leaf) or leaf, (args, kwargs))

    def _of(self, leaf: Any) -> _Made | None:
        """How a tensor was made; None for other values and for what does not depend on the picture."""
        if not isinstance(leaf, Tensor):
            return None
        made: _Made | None = self._made.get(leaf)
        if made is None and leaf.grad_fn is not None:  # made where no call is seen
            made = self._made[leaf] = self._plain(leaf)
        return made

    def _ask(self, call: Call, inputs: tuple[_Made, ...]) -> str:
        """Name the activations among what a call is given; returns the power of values that its result carries."""
        operator = called(call[0])
        joins = len(inputs) > 1 and _is_followed(call) and operator not in _CHOOSING
        if (_moves(call) and operator not in _JOINING) or (
            _is_followed(call) and not joins and operator not in _REDUCING | _CHOOSING
        ):
            return "" if operator in _ROOTS else next((made.power for made in inputs if made.power), "")
        shared = set(_bottlenecks(inputs)) if joins else set()
        powers, normed = [], False
        for leaf in tree_leaves(call[1:]):
            made = self._made.get(leaf) if isinstance(leaf, Tensor) else None
            if made is None or made in shared or not leaf.requires_grad or not leaf.is_floating_point():
                continue
            found, power = self._activation(made, leaf)
            if (power or made.power) and (joins or operator in _REDUCING):
                powers.append(power or made.power)
                normed |= _divides(call, leaf)
            elif found or power or made.power:
                self.named[_node(leaf)] = f"an activation written by hand ({found or power or made.power})"
        if any(made.covered for made in inputs) and operator in ADDING | {op.MUL}:
            self._ask_covered(call, inputs)
        return "" if normed else next(filter(None, powers), "")

    def _activation(self, made: _Made, tensor: Tensor) -> tuple[str, str]:
        """Names of the calls that make an activation, or else a power, of some earlier value; both empty for others."""
        if made.call is None or made.covered:
            return "", ""
        for start in _bottlenecks(made.inputs):
            x = start.like
            if x.numel() != tensor.numel():
                continue
            if start.power and any(called(call[0]) in _ROOTS for call in _calls(made, start)):
                return "", ""  # a norm
            if any(node in self.named or self._known(node) for node in nodes_below(tensor.grad_fn, start.node)):
                return "", ""
            again = _again(made, start)
            x = _small(made, start, x, again)
            if bends(again, x):
                calls = ", ".join(sorted({_name(call[0]) for call in _calls(made, start) if not _moves(call)}))
                return ("", calls) if is_power(again, x) else (calls, "")
        return "", ""

    def _ask_covered(self, call: Call, inputs: tuple[_Made, ...]) -> None:
        """A value times its own rectifier, as in hard swish by hand, is none, nor is a hard sigmoid made of two."""
        last = _Made(next(self._numbers), self._noted(call), inputs, lambda: None)
        gate = next((t for made in inputs if made.covered and (t := made.out()) is not None), None)
        for start in _bottlenecks(inputs, through=True):
            x = start.like
            if gate is None or x.shape != gate.shape:
                continue
            again = _again(last, start)
            few = _small(last, start, x, again)
            if called(call[0]) is op.MUL:
                if bends(again, few):
                    self.named[_node(gate)] = "a value times its own rectifier"
            elif bends(again, few) and squashes(again, few):
                self.named[_node(gate)] = HARD_SIGMOID

    def is_moved(self, x: Tensor) -> bool:
        """Whether a value is an earlier one and a number that is no parameter, as in relu6(s + 3)."""
        made = start = self._of(x)
        while start is not None and start.call is not None and len(start.inputs) == 1 and _is_affine(start.call):
            start = start.inputs[0]
        if made is None or start is None or start is made:
            return False
        at_zero = answers_of(_again(made, start), x, torch.zeros_like(x))
        return at_zero is not None and bool(at_zero[0].any())


def _is_affine(call: Call) -> bool:
    """Whether a call adds a number or multiplies with one; parameters are biases and weights."""
    others = [leaf for leaf in tree_leaves(call[1:]) if not isinstance(leaf, _Made)]
    numbers = (isinstance(v, int | float) or (isinstance(v, Tensor) and v.numel() == 1) for v in others)
    return called(call[0]) in ADDING | FACTORS and all(numbers) and not any(isinstance(v, nn.Parameter) for v in others)


def _like(tensor: Tensor) -> Tensor:
    return torch.zeros((), dtype=tensor.dtype, device=tensor.device).expand(tensor.shape)


def _puts_rows(call: Call) -> bool:
    """Whether a call puts whole rows into places told by number, as detectors gather what they read inside boxes."""
    if _name(call[0]) not in _WRITING or len(call[1]) < 2 or not isinstance(call[1][0], Tensor):
        return False
    index = call[1][1] if isinstance(call[1][1], tuple | list) else (call[1][1],)
    told = [part for part in index if isinstance(part, Tensor)]
    return not any(part.dtype == torch.bool for part in told) and len(told) < call[1][0].ndim


def _can_complete(call: Call, inputs: tuple[_Made, ...]) -> bool:
    """Whether a call may be the last one of a rectifier: it is neither affine nor does it only move values."""
    operator = called(call[0])
    if not _is_rerun(call) or _moves(call) or _lays(call) or operator in _REDUCING:
        return _is_rerun(call) and operator not in _REDUCING and any(made.folded for made in inputs)
    return len(inputs) > 1 or operator not in ADDING | FACTORS


def _moves(call: Call) -> bool:
    return called(call[0]) in _MOVING or _name(call[0]) in _READING


def _lays(call: Call) -> bool:
    return called(call[0]) in _LAYING


def _is_followed(call: Call) -> bool:
    """Whether a call treats every place like any other, and may be a part of an activation."""
    if call[2].get("out") is not None:
        return False
    operator, name = called(call[0]), _name(call[0])
    if _moves(call) or operator in _REDUCING | _CHOOSING or name in _WRITING or _is_elementwise(_ATEN.get(name, name)):
        return True
    if operator is None or operator.kind not in _EACH_ALONE or not operator.aten:
        return False
    return all(map(_is_elementwise, operator.aten))


def _is_rerun(call: Call) -> bool:
    """Whether a call can be run again on other values, to see what it does: all but layers and what draws numbers."""
    name = _name(call[0])
    known = _lays(call) or hasattr(F, name) or hasattr(torch.ops.aten, name)
    return _is_followed(call) or (
        known and call[2].get("out") is None and called(call[0]) not in _LAYERS and not _draws(name)
    )


@cache
def _draws(name: str) -> bool:
    packet = getattr(torch.ops.aten, name, None)
    tags = [getattr(packet, overload).tags for overload in packet.overloads()] if packet is not None else []
    return any(torch.Tag.nondeterministic_seeded in each for each in tags)


@cache
def _is_elementwise(name: str) -> bool:
    packet = getattr(torch.ops.aten, name, None)
    tags = [getattr(packet, overload).tags for overload in packet.overloads()] if packet is not None else []
    return not _draws(name) and any(torch.Tag.pointwise in each for each in tags)


def _name(func: Any) -> str:
    name = str(getattr(func, "__name__", "")).partition(".")[0].strip("_").removeprefix("special_")
    return name[1:] if name in ("iadd", "isub", "imul", "itruediv", "ipow", "iand", "ior") else name


def _writes(func: Any) -> bool:
    """Whether a call writes into its first argument."""
    name = str(getattr(func, "__name__", "")).partition(".")[0]
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name != "__invert__")
    return name.endswith("_")


def _node(tensor: Tensor) -> Any:
    """The node of a tensor's values; writing into a view makes a new one for what it is a view of."""
    base = tensor._base if tensor._is_view() else None
    return tensor.grad_fn if base is None or base.grad_fn is None else base.grad_fn


def _divides(call: Call, tensor: Tensor) -> bool:
    """Whether a tensor is the denominator of a quotient."""
    operator, args = called(call[0]), call[1]
    below = args[:1] if operator is op.RDIV else args[1:] if operator is op.DIV else ()
    return any(arg is tensor for arg in below)


def _bottlenecks(inputs: Sequence[_Made], *, through: bool = False) -> Iterator[_Made]:
    """Earlier values through which alone some values depend on the picture, the last first.

    `through` looks on behind what a rule covers.
    """
    front = set(inputs)
    for _ in range(_DEPTH):
        if len(front) == 1:
            yield from front
        latest = max(front, key=lambda made: made.number)
        if latest.call is None or (latest.covered and not through):
            return
        front.remove(latest)
        front.update(latest.inputs)


def _calls(last: _Made, start: _Made) -> Iterator[Call]:
    """The calls between two values."""
    seen, stack = {last, start}, [last]
    while stack:
        made = stack.pop()
        if made.call is not None:
            yield made.call
            fresh = [each for each in made.inputs if each not in seen]
            seen.update(fresh)
            stack += fresh


def _small(last: _Made, start: _Made, x: Tensor, again: Function) -> Tensor:
    """A part of x that is enough to try the calls between two values on, if they do not need the whole of it."""
    calls = list(_calls(last, start))
    if any(leaf.ndim for call in calls for leaf in tree_leaves(call[1:]) if isinstance(leaf, Tensor)):
        return x
    part = x[tuple(slice(0, _FEW) for _ in x.shape)]
    if all(map(_is_followed, calls)) or answers_of(again, part, next(numbers_like(part))) is not None:
        return part
    return x


def _again(last: _Made, start: _Made) -> Function:
    """The calls between two values as a function; what had no gradient has none."""

    def function(x: Tensor) -> Tensor:
        known: dict[_Made, Any] = {start: x}

        def value(made: _Made) -> Any:
            if made not in known:
                if made.call is None:
                    raise LookupError("a value from elsewhere")
                func, args, kwargs = made.call
                args, kwargs = tree_map(lambda v: value(v) if isinstance(v, _Made) else v, (args, kwargs))
                if _writes(func):
                    args = (args[0].clone(), *args[1:])
                result = func(*args, **kwargs)
                result = args[0] if _writes(func) else result
                leaves = [t for t in tree_leaves(result) if isinstance(t, Tensor)]
                found = leaves[made.place or 0]
                known[made] = found.detach() if made.constant else found
            return known[made]

        result: Tensor = value(last)
        return result

    return function
