"""One pass over `IncrementalTensor` values: which rule each operation falls under, and what is kept for the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from pellucid.capture.incremental.kernels import Convolution
from pellucid.capture.incremental.spans import Motion, Spans, union
from pellucid.capture.incremental.value import Baseline, Deferred, IncrementalTensor, NotLocal
from pellucid.capture.operators import Operator, called, declined, of, op

Rule = Callable[["IncrementalPass", Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], Any]
"""(pass, function, arguments, keyword arguments) -> the result, or `NotImplemented` where the rule does not apply."""

RULES: dict[Operator, Rule] = {}
"""What each operation does to boxes; filled by the modules that hold the rules."""

_OPERATORS = "add and floordiv lshift mod mul or pow rshift sub truediv xor"
_IN_PLACE = frozenset(["__setitem__", *(f"__i{name}__" for name in _OPERATORS.split())])

_BYTE = 0.5
"""Multiply-adds that take as long as moving one byte in and out of memory; measured on AVX-512 processors."""


def rule(*operators: Operator) -> Callable[[Rule], Rule]:
    """Register a rule for these operators."""

    def register(written: Rule) -> Rule:
        RULES.update(dict.fromkeys(operators, written))
        return written

    return register


@dataclass(frozen=True)
class LogEntry:
    """One line of the log: how the boxes of a value come about from those of earlier ones, and what they cost.

    Attributes:
        parents: earlier entries, whose boxes are joined.
        motions: how the joined boxes move along each axis; None leaves them.
        work: multiply-adds for each place of the result.
        bytes: memory of each place of the result, for one variant.
        places: size of the whole result along each axis.
    """

    parents: tuple[int, ...]
    motions: tuple[Motion, ...] | None
    work: float
    bytes: int
    places: tuple[int, ...]


@dataclass
class PassCache:
    """What the passes over one picture share.

    Attributes:
        limit: bytes of unchanged values to keep; the rest is computed again in every pass.
        kernels: prepared convolutions by the number of the operation; the same for all pictures.
        log: how boxes come about, written by the first pass.
        kept: unchanged values by the number of the operation and their use.
        used: bytes kept so far.
        work: multiply-adds done inside boxes, over all passes.
    """

    limit: int
    kernels: dict[int, Convolution] = field(default_factory=dict)
    log: list[LogEntry] = field(default_factory=list)
    kept: dict[tuple[int, str], Tensor] = field(default_factory=dict)
    used: int = 0
    work: float = 0.0

    def keep(self, key: tuple[int, str], value: Tensor) -> None:
        """Remember an unchanged value if there is room."""
        if self.used + value.nbytes <= self.limit:
            self.kept[key] = value
            self.used += value.nbytes


class IncrementalPass:
    """The context of one pass.

    Args:
        memo: shared with the other passes over the same picture.
        writes_log: True if this is the first one, which writes down how boxes come about.
        fast: carry out heavy convolutions on differences in bfloat16.
        last: True if the network bears values whose memory is channels last.
    """

    def __init__(self, memo: PassCache, *, writes_log: bool = False, fast: bool = False, last: bool = True) -> None:
        self.memo, self.writes_log, self.fast, self.last = memo, writes_log, fast, last
        self.number = 0

    def begin(self, picture: Tensor, patch: Tensor, spans: Spans) -> IncrementalTensor:
        """The variants of one input `[1, channel, *axes]`, as the network's input."""
        axes = tuple(range(2, patch.ndim))
        if self.writes_log:
            self.memo.log.append(LogEntry((), None, 0, _bytes(patch, axes), _lengths(spans)))
        return IncrementalTensor(self, Baseline(lambda: picture), patch, axes, spans, 0)

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Carry out one operation, box by box if there is a rule."""
        self.number += 1
        operator = called(func)
        written = None if operator is None else RULES.get(operator)
        if written is not None:
            result = written(self, func, args, kwargs)
            if result is not NotImplemented:
                return result
        return self._dense(func, args, kwargs)

    def _dense(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """An operation without a rule, on ordinary tensors."""
        name = getattr(func, "__name__", "")
        if writes(name, kwargs) or name == "__set__":
            raise NotLocal(f"{name} writes into a value in a way that no rule covers")
        given = [leaf for leaf in tree_leaves((args, dict(kwargs))) if isinstance(leaf, IncrementalTensor)]
        plain = tree_map(ordinary, (args, dict(kwargs)))
        result = func(*plain[0], **plain[1])
        made = {t.untyped_storage().data_ptr() for t in tree_leaves(result) if type(t) is Tensor}
        for value in given:
            if value.patch.untyped_storage().data_ptr() in made:
                if value.aliased:
                    raise NotLocal(f"{name} gives a view of a value that shares its memory with a third")
                value.aliased = True
        return result

    def still(self, make: Callable[[], Tensor], use: str = "") -> Baseline:
        """The unchanged value that the present operation makes, or that an earlier pass has made."""
        key = (self.number, use)
        known = self.memo.kept.get(key)
        if known is not None:
            return Baseline(lambda: known)
        return Baseline(make, lambda value: self.memo.keep(key, value))

    def prepared(self, make: Callable[[], Convolution]) -> Convolution:
        """The convolution that the present operation stands for, made ready by the first pass that meets it."""
        if self.number not in self.memo.kernels:
            self.memo.kernels[self.number] = make()
        return self.memo.kernels[self.number]

    def continued(self, value: IncrementalTensor, make: Callable[[Convolution], Convolution]) -> IncrementalTensor:
        """A convolution not yet carried out, with more behind it."""
        pending = value.held
        if not isinstance(pending, Deferred):
            raise TypeError("the value has been computed")
        kernel = self.prepared(lambda: make(pending.kernel))
        still = self.still(lambda: kernel(pending.still.get(), pending.sides))
        base = None
        if pending.base is not None:
            base = self.still(lambda: kernel.linear(pending.still.get(), pending.sides), "linear")
        held = replace(pending, kernel=kernel, base=base)
        step = self.note((value.step,), None, held, value.axes, value.spans, free=True)
        return IncrementalTensor(self, still, held, value.axes, value.spans, step)

    def pointwise(
        self, value: IncrementalTensor, patch: Tensor, make: Callable[[Tensor], Tensor], *, aliased: bool = False
    ) -> IncrementalTensor:
        """A value whose every place comes from the same place of another."""
        parent = value.still
        still = self.still(lambda: make(parent.get()))
        step = self.note((value.step,), None, patch, value.axes, value.spans)
        value.aliased |= aliased
        return IncrementalTensor(self, still, patch, value.axes, value.spans, step, aliased=aliased)

    def note(
        self,
        parents: tuple[int, ...],
        motions: tuple[Motion, ...] | None,
        patch: Tensor | Deferred,
        axes: tuple[int, ...],
        spans: Spans,
        work: float = 0.0,
        *,
        free: bool = False,
    ) -> int:
        """Write down one result; returns its number in the log."""
        depth = _bytes(patch, axes)
        per_place = 0.0 if free else work + _BYTE * depth
        self.memo.work += per_place * len(patch) * _places(patch, axes)
        if not self.writes_log:
            return 0
        self.memo.log.append(LogEntry(parents, motions, per_place, depth, _lengths(spans)))
        return len(self.memo.log) - 1


def together(values: Sequence[IncrementalTensor]) -> Spans:
    """Boxes that hold those of all values."""
    return tuple(union(along) for along in zip(*(value.spans for value in values), strict=True))


def ordinary(leaf: Any) -> Any:
    """A `IncrementalTensor` value as an ordinary tensor, anything else as it is."""
    return leaf.dense() if isinstance(leaf, IncrementalTensor) else leaf


def writes(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether a function writes into one of its arguments."""
    in_place = (name.endswith("_") and not name.endswith("__")) or name in _IN_PLACE
    return in_place or kwargs.get("inplace") is True or kwargs.get("out") is not None


def _lengths(spans: Spans) -> tuple[int, ...]:
    return tuple(span.length for span in spans)


def _places(patch: Tensor | Deferred, axes: tuple[int, ...]) -> int:
    return math.prod(patch.shape[axis] for axis in axes)


def _bytes(patch: Tensor | Deferred, axes: tuple[int, ...]) -> int:
    return patch.nbytes // max(1, len(patch) * _places(patch, axes))


_WHOLE = "mixes places in a way that no box follows; computed whole from there on"
DECLINED: dict[Operator, str] = {
    **declined(_WHOLE, *of(kinds=("reductions", "attention", "recurrent", "products", "norms"))),
    **declined("one value of many by their order", op.FRACTIONAL_MAX_POOL, op.MAX_UNPOOL),
    **declined("its kernel spreads values between places", op.SLOW_CONVOLUTION, op.COL2IM),
    **declined("places told by numbers or by a mask", *of("by mask"), op.GRID_SAMPLE, op.EMBEDDING, op.SCATTER),
    **declined(
        "puts values elsewhere than at their own place, or copies them", op.EXPAND, op.REPEAT, op.STACK, op.FLIP,
        op.ROLL, op.PIXEL_SHUFFLE, op.CHANNEL_SHUFFLE, op.GATHER, op.INDEX_SELECT, op.TAKE, op.TAKE_ALONG_DIM,
        op.IM2COL, op.TRIANGLE, op.MASKED_SELECT, op.FILL, op.MAKE,
    ),
    **declined("three operands", op.ADDCMUL, op.ADDCDIV, op.LERP),
    **declined("decides, and gives no values", op.COMPARISON),
    **declined("every value meets every other", op.FFT),
}  # fmt: skip
"""Operators without a rule: an ordinary pass over whole maps, which gives the same numbers."""
