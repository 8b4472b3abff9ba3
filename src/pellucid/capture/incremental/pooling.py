"""Rules for pooling."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.incremental.kernels import Sides, padded
from pellucid.capture.incremental.passes import IncrementalPass, rule
from pellucid.capture.incremental.reshaping import averaging
from pellucid.capture.incremental.spans import Spans
from pellucid.capture.incremental.value import IncrementalTensor, cut
from pellucid.capture.incremental.windows import each_axis, on_maps, slide, slides
from pellucid.capture.operators import called, op

_MAX = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
_MEAN = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)


def _axes_of(func: Callable[..., Any]) -> int | None:
    """In how many axes a function pools, as its name says."""
    found = re.search(r"([123])d", func.__name__)
    return int(found[1]) if found else None


def _gives_indices(func: Callable[..., Any]) -> bool:
    return func.__name__.endswith("_with_indices")


def _steps(stride: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    return size if stride in (None, [], ()) else each_axis(stride, len(size))


def _sides(x: IncrementalTensor, size: Sequence[int], steps: Sequence[int], padding: Any, ceil: bool) -> Sides:
    """The padding of a pooling, with what rounding up its size adds behind."""
    sides = []
    for k, before in enumerate(each_axis(padding, len(size))):
        length = x.shape[2 + k]
        count = -(-(length + 2 * before - size[k]) // steps[k]) + 1 if ceil else 0
        if count and (count - 1) * steps[k] >= length + before:
            count -= 1  # a window must begin inside the map or its front padding
        behind = max(before, (count - 1) * steps[k] + size[k] - length - before) if ceil else before
        sides.append((before, behind))
    return tuple(sides)


@rule(op.MAX_POOL)
def max_pooling(
    run: IncrementalPass,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """The largest value under a window."""
    x, size, stride, padding, dilation, ceil, indices = op.MAX_POOL.bind(args, kwargs).values()
    if not on_maps(x, _axes_of(func)) or indices or _gives_indices(func):
        return NotImplemented
    size, spread = each_axis(size, len(x.axes)), each_axis(dilation, len(x.axes))
    steps, pool = _steps(stride, size), _MAX[len(size) - 1]
    reach = [d * (s - 1) + 1 for d, s in zip(spread, size, strict=True)]
    sides = _sides(x, reach, steps, padding, ceil)

    def kernel(maps: Tensor, around: Sides) -> Tensor:
        if any(map(any, around)):
            return pool(maps, size, steps, padding, dilation, ceil)
        return pool(maps, size, steps, 0, spread)

    work = float(x.shape[1] * math.prod(size))
    return slide(run, x, kernel, slides(x, reach, steps, sides), sides, -torch.inf, work)


@rule(op.AVG_POOL)
def mean_pooling(
    run: IncrementalPass,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """The mean under a window; at the edge the divisor depends on the place."""
    x, size, stride, padding, ceil, include, divisor = op.AVG_POOL.bind(args, kwargs).values()
    if not on_maps(x, _axes_of(func)):
        return NotImplemented
    size = each_axis(size, len(x.axes))
    steps, padding = _steps(stride, size), each_axis(padding, len(size))
    sides = _sides(x, size, steps, padding, ceil)
    plain = not any(map(any, sides))

    def kernel(maps: Tensor, around: Sides) -> Tensor:
        if plain or any(map(any, around)):
            return _means(maps, size, steps, padding, ceil, include, divisor)
        return _means(maps, size, steps, divisor=1)

    def over_counts(sums: Tensor, spans: Spans) -> Tensor:
        counts = run.still(lambda: _counts(x, size, steps, sides, (padding, ceil, include, divisor)), "counts")
        return sums / cut(counts.get(), x.axes, [s.first for s in spans], [s.size for s in spans])

    motions, work = slides(x, size, steps, sides), float(x.shape[1] * math.prod(size))
    return slide(run, x, kernel, motions, sides, 0.0, work, None if plain else over_counts)


def _means(
    maps: Tensor,
    size: tuple[int, ...],
    steps: tuple[int, ...],
    padding: tuple[int, ...] | int = 0,
    ceil: bool = False,
    include: bool = True,
    divisor: int | None = None,
) -> Tensor:
    """Mean pooling in any number of axes; in one, torch has no divisor of the caller's, and pools as in two itself."""
    if len(size) > 1:
        pool = F.avg_pool2d if len(size) == 2 else F.avg_pool3d
        return pool(maps, size, steps, padding, ceil, include, divisor)
    around = (0, *each_axis(padding, 1))
    return F.avg_pool2d(maps[:, :, None], (1, *size), (1, *steps), around, ceil, include, divisor)[:, :, 0]


def _counts(
    x: IncrementalTensor,
    size: tuple[int, ...],
    steps: tuple[int, ...],
    sides: Sides,
    rest: tuple[Any, Any, Any, Any],
) -> Tensor:
    """What the sum under each window is divided by, `[1, 1, *axes]`."""
    ones = torch.ones(1, 1, *x.shape[2:], dtype=x.dtype, device=x.device)
    return _means(padded(ones, sides), size, steps, divisor=1) / _means(ones, size, steps, *rest)


@rule(op.ADAPTIVE_AVG_POOL, op.ADAPTIVE_MAX_POOL)
def adaptive_pooling(
    run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """To a size that divides the map's it is plain pooling; the mean to one place is the mean of all."""
    largest = called(func) is op.ADAPTIVE_MAX_POOL
    named = (op.ADAPTIVE_MAX_POOL if largest else op.ADAPTIVE_AVG_POOL).bind(args, kwargs)
    x, size = named["input"], named["output_size"]
    if not on_maps(x, _axes_of(func)) or named.get("return_indices") or _gives_indices(func):
        return NotImplemented
    given = size if isinstance(size, (tuple, list)) else [size]
    each, shape = [*given] * (len(x.axes) if len(given) == 1 else 1), tuple(x.shape[2:])
    wanted = tuple(length if w is None else int(w) for w, length in zip(each, shape, strict=True))
    if wanted == shape:
        return run.pointwise(x, x.patch.clone(memory_format=torch.preserve_format), lambda still: still)
    if set(wanted) == {1}:
        return NotImplemented if largest else averaging(run, Tensor.mean, (x, x.axes, True), {})
    if any(length % w for length, w in zip(shape, wanted, strict=True)):
        return NotImplemented
    cell = [length // w for length, w in zip(shape, wanted, strict=True)]
    pooling = max_pooling if largest else mean_pooling
    return pooling(run, func, (x, cell), {})


@rule(op.LP_POOL)
def power_pooling(
    run: IncrementalPass,  # noqa: ARG001
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """The root of a sum of powers under a window, in the steps in which torch computes it, each by its own rule."""
    x, power, size, stride, ceil = op.LP_POOL.bind(args, kwargs).values()
    if not on_maps(x, _axes_of(func)):
        return NotImplemented
    size, pool = each_axis(size, len(x.axes)), _MEAN[len(x.axes) - 1]
    mean = pool(x.pow(power), size, _steps(stride, size), 0, ceil)
    return (torch.sign(mean) * F.relu(torch.abs(mean))).mul(math.prod(size)).pow(1.0 / power)
