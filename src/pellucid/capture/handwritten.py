"""Activations written by hand: what a handful of elementwise calls does, found by running them on other values.

`torch.where(x > 0, x, 0)`, `x * (x > 0)` and `(x + x.abs()) / 2` are rectifiers as much as `relu` is, and `0.5 * x *
(1 + erf(x / sqrt(2)))` is GELU. No list of names tells. So the calls of a pass are followed; where several of them make
one value out of one other, they are run again on numbers of our own, which shows whether they are a rectifier.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from pellucid.capture.graph import nodes_below
from pellucid.capture.operations import ADDING, FACTORS, Call

_ALIASES = {"rsub": "sub", "rdiv": "div", "rtruediv": "div", "truediv": "div", "rpow": "pow", "invert": "bitwise_not"}
_REDUCING = frozenset(["mean", "sum", "nanmean", "nansum", "logsumexp"])
_CHOOSING = frozenset(["amax", "amin", "max", "min"])
_WRITING = frozenset(["setitem", "index_put", "masked_scatter"])
# Calls that hand values on, join them or read their shape, and that no one would take for a layer.
_MOVING = frozenset(
    """
    bool cat clone contiguous detach double expand expand_as float get half squeeze stack to type type_as unsqueeze
    """.split()  # noqa: SIM905
)
_JOINING = frozenset(["cat", "stack", "unsqueeze", "squeeze", "expand", "expand_as"])
_ROOTS = frozenset(["pow", "reciprocal", "rsqrt", "sqrt"])
_DEPTH = 24
"""Calls to look back: GELU written with tanh takes nine."""
_FEW = 4
"""Places along each axis that are enough, as each value is made like any other."""
_LEAST = 64
"""Numbers to try at least."""
_ON_THE_SLOPE = 4
"""Numbers between 0 and the ceiling to be seen at least, or a step would pass for a rectifier."""
_NEAR = 1e-6
"""Relative, for numbers computed in float64 with constants in float32."""


@dataclass(frozen=True, eq=False)
class _Made:
    """A tensor that depends on the picture, and how it was made.

    Attributes:
        number: in the order of the pass.
        call: the call with `_Made` in place of such tensors; None where it is not to be run again.
        inputs: those of the call.
        out: the tensor itself, if anyone still has it.
        place: which of the call's results.
        decides: whether it is a decision by values, such as a mask, and has no gradient.
        power: the name of a power of values that was added up in it, if no root was taken of it since.
        covered: whether a rule holds for how it was made.
        constant: whether it has no gradient, whatever made it.
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
        if not inputs or not _can_complete(call, len(inputs)):
            return None
        last = _Made(next(self._numbers), self._noted(call), inputs, lambda: None)
        for made in _bottlenecks(inputs, through=True):
            x = made.out()
            if x is None or self._made.get(x) is not made or not x.requires_grad:
                continue
            again, few = _again(last, made), _small(last, made, x)
            found = _law(again, few)
            if found and not _slopes_as(found, again, few):  # a part of it is hidden from the gradient
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
        name, followed = _name(call[0]), _is_followed(call)
        for place, out in enumerate(tensors if inputs else ()):
            chosen = any(made.decides for made in inputs)
            self._made[out] = _Made(
                next(self._numbers), noted if followed else None, inputs if followed else (), weakref.ref(out), place,
                not out.requires_grad and (out.dtype == torch.bool or chosen), power, covered, not out.requires_grad,
            )  # fmt: skip
            chooses = chosen and followed and not covered and name not in _MOVING
            if chooses and out.requires_grad and not _puts_rows(call):
                self.named[_node(out)] = f"a choice by values ({name})"

    def names(self, made: Collection[Any]) -> Iterator[str]:
        """Of the activations among the nodes of a graph."""
        return (self.named[node] for node in made if node in self.named)

    def _plain(self, tensor: Tensor) -> _Made:
        return _Made(next(self._numbers), None, (), weakref.ref(tensor))

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
        name = _name(call[0])
        joins = len(inputs) > 1 and _is_followed(call) and name not in _CHOOSING
        if name in _MOVING - _JOINING or (_is_followed(call) and not joins and name not in _REDUCING | _CHOOSING):
            return "" if name in _ROOTS else next((made.power for made in inputs if made.power), "")
        shared = set(_bottlenecks(inputs)) if joins else set()
        powers = []
        for leaf in tree_leaves(call[1:]):
            made = self._made.get(leaf) if isinstance(leaf, Tensor) else None
            if made is None or made in shared or not leaf.requires_grad or not leaf.is_floating_point():
                continue
            found, power = self._activation(made, leaf)
            if (power or made.power) and (joins or name in _REDUCING):
                powers.append("" if _divides(call, leaf) else power or made.power)
            elif found or power or made.power:
                self.named[_node(leaf)] = f"an activation written by hand ({found or power or made.power})"
        if name == "mul" and any(made.covered for made in inputs):
            self._ask_gate(call, inputs)
        return next(filter(None, powers), "")

    def _activation(self, made: _Made, tensor: Tensor) -> tuple[str, str]:
        """Names of the calls that make an activation, or else a power, of some earlier value; both empty for others."""
        if made.call is None or made.covered:
            return "", ""
        for start in _bottlenecks(made.inputs):
            x = start.out()
            if x is None or x.shape != tensor.shape:
                continue
            if any(node in self.named or self._known(node) for node in nodes_below(tensor.grad_fn, x.grad_fn)):
                return "", ""
            again, x = _again(made, start), _small(made, start, x)
            if _bends(again, x):
                calls = ", ".join(sorted({_name(call[0]) for call in _calls(made, start)} - _MOVING))
                return ("", calls) if _is_power(again, x) else (calls, "")
        return "", ""

    def _ask_gate(self, call: Call, inputs: tuple[_Made, ...]) -> None:
        """A value times its own rectifier, such as hard swish by hand, is no rectifier."""
        last = _Made(next(self._numbers), self._noted(call), inputs, lambda: None)
        for start in _bottlenecks(inputs, through=True):
            x = start.out()
            gate = next((t for made in inputs if made.covered and (t := made.out()) is not None), None)
            if (
                x is not None
                and gate is not None
                and x.shape == gate.shape
                and _bends(_again(last, start), _small(last, start, x))
            ):
                self.named[_node(gate)] = "a value times its own rectifier"


def _puts_rows(call: Call) -> bool:
    """Whether a call puts whole rows into places told by number, as detectors gather what they read inside boxes."""
    if _name(call[0]) not in _WRITING or len(call[1]) < 2 or not isinstance(call[1][0], Tensor):
        return False
    index = call[1][1] if isinstance(call[1][1], tuple | list) else (call[1][1],)
    told = [part for part in index if isinstance(part, Tensor)]
    return not any(part.dtype == torch.bool for part in told) and len(told) < call[1][0].ndim


def _can_complete(call: Call, inputs: int) -> bool:
    """Whether a call may be the last one of a rectifier: it is neither affine nor does it only move values."""
    if not _is_followed(call) or _name(call[0]) in _MOVING | _REDUCING:
        return False
    return inputs > 1 or call[0] not in ADDING | FACTORS


def _is_followed(call: Call) -> bool:
    """Whether a call can be run again on other values, and may be a part of an activation."""
    name = _name(call[0])
    return "out" not in call[2] and (
        name in _MOVING | _REDUCING | _CHOOSING | _WRITING or _is_elementwise(_ALIASES.get(name, name))
    )


@cache
def _is_elementwise(name: str) -> bool:
    packet = getattr(torch.ops.aten, name, None)
    tags = [getattr(packet, overload).tags for overload in packet.overloads()] if packet is not None else []
    random = any(torch.Tag.nondeterministic_seeded in each for each in tags)
    return not random and any(torch.Tag.pointwise in each for each in tags)


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
    args, name = call[1], _name(call[0])
    below = args[:1] if name in ("rdiv", "rtruediv") else args[1:]
    return _ALIASES.get(name, name) == "div" and any(arg is tensor for arg in below)


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


def _small(last: _Made, start: _Made, x: Tensor) -> Tensor:
    """A part of x that is enough to try the calls between two values on, if no constant needs the whole of it."""
    constants = [leaf for call in _calls(last, start) for leaf in tree_leaves(call[1:]) if isinstance(leaf, Tensor)]
    if any(constant.ndim for constant in constants):
        return x
    return x[tuple(slice(0, _FEW) for _ in x.shape)]


Function = Callable[[Tensor], Tensor]


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


def _answers(function: Function, x: Tensor, *probes: Tensor) -> list[Tensor] | None:
    """What a function makes of numbers shaped as x, in float64; None where it cannot be run or gives other shapes."""
    for dtype in (torch.float64, x.dtype):
        with suppress(Exception), torch.no_grad():
            found = [function(probe.to(dtype)) for probe in probes]
            if all(each.shape == x.shape and each.is_floating_point() for each in found):
                return [each.to(torch.float64) for each in found]
    return None


def _probes(x: Tensor) -> Iterator[Tensor]:
    """Numbers of both signs and of sizes from 0.001 to 10,000, in the shape of x, until there are enough."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(math.ceil(_LEAST / max(x.numel(), 1))):
        size, sign = torch.rand(2, *x.shape, generator=generator, dtype=torch.float64)
        yield (10 ** (7 * size - 3) * torch.where(sign < 0.5, -1.0, 1.0)).to(x.device)


def _law(function: Function, x: Tensor) -> tuple[float, float, float] | None:
    """Scale, sign and ceiling of a function that is a rectifier; None for any other."""
    probes = list(_probes(x))
    answers = _answers(function, x, *probes)
    if answers is None:
        return None
    p, y = (torch.cat([t.flatten() for t in each]) for each in (probes, answers))
    dead = y.abs() <= _NEAR * p.abs()
    for sign in (1.0, -1.0):
        live = sign * p > 0
        if not bool(dead[~live].all()) or not bool(live.any()):
            continue
        q, v = p[live].abs(), y[live]
        scale = float(v[q.argmin()] / q.min())
        if scale == 0 or not math.isfinite(scale):
            return None
        most = float(v[q.argmax()]) / scale
        ceiling = math.inf if abs(most - float(q.max())) <= _NEAR * float(q.max()) else most
        holds = (v - scale * q.clamp(max=ceiling)).abs() <= _NEAR * abs(scale) * q.clamp(max=ceiling)
        scale = round(scale) if abs(scale - round(scale)) <= _NEAR else scale
        rises = int((q < ceiling).sum()) >= _ON_THE_SLOPE
        return (scale, sign, ceiling) if rises and bool(holds.all()) else None
    return None


def _slopes_as(law: tuple[float, float, float], function: Function, x: Tensor) -> bool:
    """Whether a rectifier's gradient is that of its values, so that no part of it was detached."""
    scale, sign, ceiling = law
    for p in _probes(x):
        for dtype in (torch.float64, x.dtype):
            with suppress(Exception), torch.enable_grad():
                leaf = p.to(dtype).requires_grad_()
                (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
                break
        else:
            return True  # there is no gradient to differ from
        open_ = (sign * leaf > 0) & (sign * leaf < ceiling)
        if not bool(((slope - scale * sign * open_).abs() <= _NEAR * abs(scale)).all()):
            return False
    return True


def _bends(function: Function, x: Tensor) -> bool:
    """Whether each result depends on the one value at its place, and not by a straight line."""
    bent = False
    generator = torch.Generator().manual_seed(1)
    for p in _probes(x):
        q = -0.3 * p
        swapped = (torch.rand(x.shape, generator=generator) < 0.5).to(x.device)
        answers = _answers(function, x, p, q, (p + q) / 2, torch.where(swapped, q, p))
        if answers is None:
            return False
        at_p, at_q, between, mixed = (each.nan_to_num() for each in answers)
        if not bool(((mixed - torch.where(swapped, at_q, at_p)).abs() <= _NEAR * mixed.abs()).all()):
            return False
        size = torch.maximum(at_p.abs(), at_q.abs())
        bent |= bool(((between - (at_p + at_q) / 2).abs() > _NEAR * size).any())
    return bent


def _is_power(function: Function, x: Tensor) -> bool:
    """Whether a function is one that norms and softmax add up: even, or an exponential."""
    p = next(_probes(x)).clamp(-3, 3)
    answers = _answers(function, x, p, -p)
    if answers is None:
        return False
    there, back = answers
    return bool(torch.allclose(there, back)) or bool(torch.allclose(there * back, torch.ones_like(p)))
