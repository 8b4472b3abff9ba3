"""Rules for joining and dividing channels, for turning axes, and for what sums up a whole map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.incremental.passes import IncrementalPass, rule, together, writes
from pellucid.capture.incremental.value import IncrementalTensor, at, cut, paste
from pellucid.capture.operators import called, op
from pellucid.numerics import full_precision


@rule(op.CAT)
def joining(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:  # noqa: ARG001
    """Joining along an axis that is not spatial: the surroundings of all parts are fetched at once."""
    named = op.CAT.bind(args, kwargs)
    parts, axis = named["tensors"], named["dim"]
    first = next(p for p in parts if isinstance(p, IncrementalTensor))
    axis %= first.ndim
    alike = all(isinstance(p, IncrementalTensor) and p.axes == first.axes and p.ndim == first.ndim for p in parts)
    if kwargs.get("out") is not None or not alike or axis in (0, *first.axes):
        return NotImplemented
    if any(p.shape[a] != first.shape[a] for p in parts for a in first.axes):
        return NotImplemented
    spans, stills = together(parts), [p.still for p in parts]
    still = run.still(lambda: torch.cat([s.get() for s in stills], axis))
    corner, size = [s.first for s in spans], [s.size for s in spans]
    fits = [[s.size for s in p.spans] == size and at_once(p, corner) for p in parts]
    if all(fits) or first_is_whole(spans):
        patch = torch.cat([at(p, spans) for p in parts], axis)
    else:
        patch = cut(still.get(), first.axes, corner, size)
        for part, piece in zip(parts, torch.split(patch, [p.patch.shape[axis] for p in parts], axis), strict=True):
            paste(part, piece, corner)
    step = run.note(tuple(p.step for p in parts), None, patch, first.axes, spans)
    return IncrementalTensor(run, still, patch, first.axes, spans, step)


def at_once(value: IncrementalTensor, corner: Sequence[Any]) -> bool:
    """Whether the boxes begin at these places."""
    return all(bool((s.first == c).all()) for s, c in zip(value.spans, corner, strict=True))


def first_is_whole(spans: Sequence[Any]) -> bool:
    """Whether the boxes are the whole map."""
    return all(s.is_whole for s in spans)


@rule(op.PERMUTE, op.SQUEEZE)
def turning(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Axes in another order, or more or fewer of them: followed by what becomes of a small example."""
    x, rest = (args[0], args[1:]) if args else (None, ())
    if not isinstance(x, IncrementalTensor) or writes(func.__name__, kwargs):
        return NotImplemented
    sizes = [2 if a in (0, *x.axes) else min(x.shape[a], 2) for a in range(x.ndim)]
    marks = torch.zeros(sizes)
    before = marks.stride()
    after = func(marks, *rest, **kwargs)
    places = [
        [a for a in range(after.ndim) if after.shape[a] > 1 and after.stride(a) == before[b]] for b in (0, *x.axes)
    ]
    if any(len(p) != 1 for p in places) or places[0][0] != 0:
        return NotImplemented
    patch = func(x.patch, *rest, **kwargs)
    if patch.ndim != after.ndim:
        return NotImplemented  # a squeeze that removed an axis of the boxes
    return turned(run, x, patch, tuple(p[0] for p in places[1:]), lambda still: func(still, *rest, **kwargs))


def turned(
    run: IncrementalPass, x: IncrementalTensor, patch: Tensor, axes: tuple[int, ...], make: Callable[[Tensor], Tensor]
) -> IncrementalTensor:
    """The same boxes, in memory that both values share."""
    parent, x.aliased = x.still, True
    step = run.note((x.step,), None, patch, axes, x.spans)
    return IncrementalTensor(run, run.still(lambda: make(parent.get())), patch, axes, x.spans, step, aliased=True)


@rule(op.VIEW)
def folding(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Other channel axes in front of the spatial ones, as channel shuffling does it."""
    x, rest = (args[0], args[1:]) if args else (None, ())
    if not isinstance(x, IncrementalTensor) or not _only_sizes((*rest, *kwargs.values())):
        return NotImplemented
    count = len(x.axes)
    if x.axes != tuple(range(x.ndim - count, x.ndim)):
        return NotImplemented
    meta = func(torch.empty(x.shape, device="meta"), *rest, **kwargs).shape
    if len(meta) <= count or meta[0] != x.shape[0] or meta[-count:] != x.shape[-count:]:
        return NotImplemented
    middle = meta[1:-count]
    patch = x.patch.reshape(meta[0], *middle, *x.patch.shape[-count:])
    axes = tuple(range(len(meta) - count, len(meta)))
    return turned(run, x, patch, axes, lambda still: still.reshape(1, *middle, *still.shape[-count:]))


def _only_sizes(given: Sequence[Any]) -> bool:
    """Whether arguments are numbers of places and of axes, and no type or other tensor."""
    flat = [v for value in given for v in (value if isinstance(value, (tuple, list)) else [value])]
    return all(isinstance(v, int) for v in flat)


@rule(op.SPLIT)
def cutting(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Parts along an axis that is not spatial."""
    named = op.SPLIT.bind(args, kwargs, func)
    if len(named) != 3:  # `unbind` takes single places, which leave no axis
        return NotImplemented
    x, parts, axis = named.values()
    if not isinstance(x, IncrementalTensor) or axis % x.ndim in (0, *x.axes):
        return NotImplemented
    pieces = func(x.patch, parts, dim=axis)
    ends = torch.tensor([p.shape[axis] for p in pieces]).cumsum(0).tolist()
    return tuple(
        _piece(run, x, piece, axis, end - piece.shape[axis], k)
        for k, (piece, end) in enumerate(zip(pieces, ends, strict=True))
    )


def _piece(
    run: IncrementalPass, x: IncrementalTensor, piece: Tensor, axis: int, begin: int, number: int
) -> IncrementalTensor:
    parent, x.aliased, length = x.still, True, piece.shape[axis]
    still = run.still(lambda: parent.get().narrow(axis, begin, length), f"piece {number}")
    step = run.note((x.step,), None, piece, x.axes, x.spans)
    return IncrementalTensor(run, still, piece, x.axes, x.spans, step, aliased=True)


@rule(op.MEAN, op.SUM)
def averaging(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Sum or mean over all places: what the boxes change about the unchanged picture's."""
    operator = op.SUM if called(func) is op.SUM else op.MEAN
    x, dim, keepdim, dtype, out = operator.bind(args, kwargs).values()
    if dtype is not None or out is not None or not isinstance(x, IncrementalTensor) or dim is None:
        return NotImplemented
    dims = {d % x.ndim for d in (dim if isinstance(dim, (tuple, list)) else [dim])}
    if 0 in dims or not dims >= set(x.axes):
        return NotImplemented
    total = _sum(run, x, sorted(dims), bool(keepdim))
    count = 1 if operator is op.SUM else torch.Size(x.shape[d] for d in dims).numel()
    return (total / count).to(x.dtype)


def _sum(run: IncrementalPass, x: IncrementalTensor, dims: list[int], keepdim: bool) -> Tensor:
    """In float32 or better: what the boxes change may be little beside the whole."""
    if x.is_whole:
        return full_precision(x.patch).sum(dims, keepdim=keepdim)
    parent = x.still
    still = run.still(lambda: full_precision(parent.get()).sum(dims, keepdim=keepdim))
    before = cut(parent.get(), x.axes, [s.first for s in x.spans], [s.size for s in x.spans])
    return still.get() + (full_precision(x.patch) - full_precision(before)).sum(dims, keepdim=keepdim)
