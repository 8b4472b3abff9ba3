"""Rules for what treats every place of a map alike: activations, normalisation over channels, sums and products."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.incremental.kernels import after
from pellucid.capture.incremental.passes import IncrementalPass, rule, together, writes
from pellucid.capture.incremental.spans import Spans
from pellucid.capture.incremental.value import Baseline, Deferred, IncrementalTensor, NotLocal, at, cut
from pellucid.capture.operators import called, of, op


def _out_of_place(func: Callable[..., Any]) -> Callable[..., Any]:
    """The function that returns what this one writes."""
    name = func.__name__
    plain = f"__{name[3:]}" if name.startswith("__i") else name.removesuffix("_")
    for home in (torch, F, Tensor, torch._C._nn):
        if hasattr(home, plain):
            found: Callable[..., Any] = getattr(home, plain)
            return found
    raise NotLocal(f"nothing returns what {name} writes")


def assign(value: IncrementalTensor, result: IncrementalTensor) -> IncrementalTensor:
    """Let a value become what an operation wrote into it."""
    if value.aliased or value.part or value.shape != result.shape or value.dtype != result.dtype:
        raise NotLocal("a value that shares its memory, or whose shape or type does not fit, is written to")
    value.set(result.still, result.held, result.axes, result.spans, result.step)
    return value


@rule(*of("elementwise"))
def activation(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Any function of one value at a time; of the channel too, where its parameters have no spatial axes."""
    x, rest = (args[0], args[1:]) if args else (kwargs.get("input"), ())
    named = {k: v for k, v in kwargs.items() if k != "input"}
    others = [*rest, *named.values()]
    if not isinstance(x, IncrementalTensor) or any(
        isinstance(v, Tensor) and (type(v) is IncrementalTensor or v.numel() > 1) for v in others
    ):
        return _prelu(run, x, others) if called(func) is op.PRELU else NotImplemented
    if kwargs.get("out") is not None or _draws(func, args, kwargs):
        return NotImplemented
    in_place = writes(func.__name__, named)
    if in_place and (x.aliased or x.part):
        raise NotLocal("a value that shares its memory is written to")
    if isinstance(x.held, Deferred) and x.held.kernel.after is None and not (rest and isinstance(rest[0], Tensor)):
        calm = {k: v for k, v in named.items() if k != "inplace"}
        plain = _out_of_place(func) if func.__name__.endswith("_") else func
        joined = after(plain.__name__, rest, calm, lambda maps: plain(maps, *rest, **calm))
        if joined is not None:
            result = run.continued(x, lambda kernel: kernel.then(joined))
            return assign(x, result) if in_place else result
    if not in_place:
        return run.pointwise(x, func(x.patch, *rest, **named), lambda still: func(still, *rest, **named))
    plain, calm = (func, {**named, "inplace": False}) if "inplace" in named else (_out_of_place(func), named)
    return assign(x, run.pointwise(x, func(x.patch, *rest, **named), lambda still: plain(still, *rest, **calm)))


def _draws(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call draws numbers, as while training."""
    operator = called(func)
    if operator is None or "random" not in operator.traits:
        return False
    named = operator.bind(args, kwargs, func)
    return named.get("training", named.get("train")) is not False


def _prelu(run: IncrementalPass, x: Any, others: list[Any]) -> Any:
    if (
        not isinstance(x, IncrementalTensor)
        or len(others) != 1
        or isinstance(others[0], IncrementalTensor)
        or 1 in x.axes
    ):
        return NotImplemented
    return run.pointwise(x, F.prelu(x.patch, others[0]), lambda still: F.prelu(still, others[0]))


@rule(op.COPY)
def same(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Copies and changes of type."""
    x, rest = args[0], args[1:]
    if not isinstance(x, IncrementalTensor) or any(isinstance(v, Tensor) for v in (*rest, *kwargs.values())):
        return NotImplemented
    patch = func(x.patch, *rest, **kwargs)
    if not isinstance(patch, Tensor):
        return patch  # the name of a type
    if func.__name__ in ("contiguous", "detach") or patch.data_ptr() == x.patch.data_ptr():
        return x
    return run.pointwise(x, patch, lambda still: func(still, *rest, **kwargs))


@rule(op.DROPOUT, op.ALPHA_DROPOUT)
def dropout(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:  # noqa: ARG001
    """Nothing, outside training."""
    x = args[0] if args else kwargs.get("input")
    return x if isinstance(x, IncrementalTensor) and not _draws(func, args, kwargs) else NotImplemented


@rule(op.BATCH_NORM)
def batch_norm(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Batch norm with running statistics: a factor and a shift per channel."""
    named = op.BATCH_NORM.bind(args, kwargs, func)
    x, mean, var, weight, bias = (named[name] for name in ("input", "running_mean", "running_var", "weight", "bias"))
    training, eps = named["training"], named["eps"]
    if not isinstance(x, IncrementalTensor) or training or mean is None or var is None or 1 in x.axes or x.axes[0] == 0:
        return NotImplemented

    if isinstance(x.held, Deferred) and x.held.kernel.may_fold:
        return run.continued(x, lambda kernel: kernel.folded(mean, var, weight, bias, eps))

    def norm(maps: Tensor) -> Tensor:
        return F.batch_norm(maps, mean, var, weight, bias, False, 0.0, eps)

    return run.pointwise(x, norm(x.patch), norm)


@rule(op.LAYER_NORM, op.RMS_NORM)
def layer_norm(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Layer norm over axes behind the spatial ones."""
    root = called(func) is op.RMS_NORM
    named = (op.RMS_NORM if root else op.LAYER_NORM).bind(args, kwargs, func)
    x, shape = named["input"], named["normalized_shape"]
    if not isinstance(x, IncrementalTensor) or max(x.axes) >= x.ndim - len(shape):
        return NotImplemented
    names = ("weight", "eps") if root else ("weight", "bias", "eps")
    more = {name: named[name] for name in names}
    return run.pointwise(x, func(x.patch, shape, **more), lambda still: func(still, shape, **more))


@rule(op.LINEAR)
def linear(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:  # noqa: ARG001
    """A dense layer over an axis behind the spatial ones."""
    x, weight, bias = op.LINEAR.bind(args, kwargs).values()
    if not isinstance(x, IncrementalTensor) or isinstance(weight, IncrementalTensor) or max(x.axes) == x.ndim - 1:
        return NotImplemented
    patch = F.linear(x.patch, weight, bias)
    run.memo.work += weight.numel() * patch.numel() / patch.shape[-1]
    return run.pointwise(x, patch, lambda still: F.linear(still, weight, bias))


@rule(op.SOFTMAX, op.LOG_SOFTMAX, op.SOFTMIN, op.NORMALIZE, op.LOCAL_RESPONSE_NORM, op.GLU)
def across_channels(
    run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """What mixes the channels of one place."""
    x, rest = (args[0], args[1:]) if args else (kwargs.get("input"), ())
    named = {k: v for k, v in kwargs.items() if k != "input"}
    operator = called(func)
    if operator is None or not isinstance(x, IncrementalTensor) or any(isinstance(v, IncrementalTensor) for v in rest):
        return NotImplemented
    axis = 1 if operator is op.LOCAL_RESPONSE_NORM else operator.bind(args, kwargs, func)["dim"]
    if not isinstance(axis, int) or axis % x.ndim in (0, *x.axes) or named.get("out") is not None:
        return NotImplemented
    return run.pointwise(x, func(x.patch, *rest, **named), lambda still: func(still, *rest, **named))


@rule(
    op.ADD, op.SUB, op.RSUB, op.MUL, op.DIV, op.RDIV, op.POW, op.RPOW, op.FLOAT_POW, op.MAXIMUM, op.MINIMUM, op.FMAX,
    op.FMIN, op.ATAN2, op.HYPOT, op.REMAINDER, op.FMOD, op.FLOOR_DIVIDE,
)  # fmt: skip
def arithmetic(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Sums, products and the like, of two such values or with numbers, parameters and constant maps."""
    if writes(func.__name__, kwargs):
        return _arithmetic_in_place(run, func, args, kwargs)
    if len(args) != 2 or kwargs.get("out") is not None or any(isinstance(v, Tensor) for v in kwargs.values()):
        return NotImplemented
    values = [a for a in args if isinstance(a, IncrementalTensor)]
    first = values[0]
    plain = [a for a in args if isinstance(a, Tensor) and not isinstance(a, IncrementalTensor)]
    if any(_differs_by_row(p, first) for p in plain) or any(
        v.axes != first.axes or v.ndim != first.ndim or v.shape[0] != first.shape[0] or _size(v) != _size(first)
        for v in values
    ):
        return NotImplemented
    spans = together(values)
    stills = [a.still if isinstance(a, IncrementalTensor) else a for a in args]

    def whole() -> Tensor:
        result: Tensor = func(*(a.get() if isinstance(a, Baseline) else a for a in stills), **kwargs)
        return result

    parts = [
        at(a, spans) if isinstance(a, IncrementalTensor) else _part(a, first, spans) if isinstance(a, Tensor) else a
        for a in args
    ]
    patch = func(*parts, **kwargs)
    step = run.note(tuple(v.step for v in values), None, patch, first.axes, spans)
    return IncrementalTensor(run, run.still(whole), patch, first.axes, spans, step)


def _arithmetic_in_place(
    run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """The same, written into the first of the two."""
    if not isinstance(args[0], IncrementalTensor):
        raise NotLocal("an ordinary tensor is written to")
    result = arithmetic(run, _out_of_place(func), args, kwargs)
    if result is NotImplemented:
        return NotImplemented
    return assign(args[0], result)


def _size(value: IncrementalTensor) -> list[int]:
    return [span.length for span in value.spans]


def _differs_by_row(plain: Tensor, value: IncrementalTensor) -> bool:
    """Whether an ordinary tensor has a value of its own for every variant, or more axes than the maps."""
    if plain.ndim > value.ndim:
        return True
    return plain.ndim == value.ndim and plain.shape[0] > 1


def _part(plain: Tensor, value: IncrementalTensor, spans: Spans) -> Tensor:
    """An ordinary tensor where the boxes are: as it is, unless it has a value of its own for each place."""
    lead = value.ndim - plain.ndim
    lengths = [plain.shape[a - lead] if a >= lead else 1 for a in value.axes]
    if all(length == 1 for length in lengths):
        return plain
    full = plain.expand(1, *plain.shape[-(value.ndim - 1) :]) if plain.ndim == value.ndim else plain.expand(
        1, *([1] * (lead - 1)), *plain.shape
    )  # fmt: skip
    shape = [1, *full.shape[1:]]
    for axis, span in zip(value.axes, spans, strict=True):
        shape[axis] = span.length
    return cut(full.expand(shape), value.axes, [s.first for s in spans], [s.size for s in spans])
