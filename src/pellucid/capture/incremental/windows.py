"""Rules for kernels that slide over a map: convolution and pooling; and for padding and resizing.

In one file, since they share the arithmetic of windows, edges and strides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.incremental.kernels import NO_SIDES, Convolution, Sides
from pellucid.capture.incremental.passes import IncrementalPass, rule
from pellucid.capture.incremental.reshaping import averaging
from pellucid.capture.incremental.spans import Interval, Places, Shift, Slide, Stretch
from pellucid.capture.incremental.value import Deferred, IncrementalTensor, cut, paste
from pellucid.capture.operators import called, op

_GATHER = 2.0
"""Multiply-adds that take as long as moving one byte into a box's surroundings; measured as `_BYTE` is."""
_HEAVY = 512
"""Multiply-adds for each number of its result from which a convolution is quicker on differences in bfloat16."""


def _pair(value: Any) -> tuple[int, int]:
    values = [int(v) for v in value] if isinstance(value, (tuple, list)) else [int(value)]
    return values[0], values[-1]


def _on_maps(value: Any) -> bool:
    return isinstance(value, IncrementalTensor) and value.ndim == 4 and value.axes == (2, 3)


def slide(
    run: IncrementalPass,
    value: IncrementalTensor,
    kernel: Callable[[Tensor, Sides], Tensor],
    motions: tuple[Slide, Slide],
    sides: Sides,
    empty: float,
    work: float,
    finish: Callable[[Tensor, Sequence[Interval]], Tensor] | None = None,
) -> IncrementalTensor:
    """The result of a kernel that slides over the map.

    Args:
        run: the pass.
        value: the input.
        kernel: computes it from values and the padding still to be put around them.
        motions: how it moves along rows and columns.
        sides: the padding around the whole map.
        empty: what the padding holds.
        work: multiply-adds for each place of the result.
        finish: treats the result in the boxes further, for what depends on the place.
    """
    parent = value.still
    spans = (motions[0].through(value.spans[0]), motions[1].through(value.spans[1]))
    if value.is_whole or _costs_less_whole(value, spans, motions, work):
        value.dense()
    around, base = NO_SIDES, None
    if value.is_whole:
        around = sides
        spans = (
            Interval.whole(len(value.patch), motions[0].length),
            Interval.whole(len(value.patch), motions[1].length),
        )
    if run.fast and isinstance(kernel, Convolution) and kernel.work >= _HEAVY:
        base = run.still(lambda: kernel.linear(parent.get(), sides), "linear")
        maps = _differences(value, spans, motions)
    else:
        maps = value.patch if value.is_whole else _surroundings(run, value, spans, motions, sides, empty)
    patch: Tensor | Deferred
    if isinstance(kernel, Convolution):
        shape = (len(maps), len(kernel.weight), spans[0].size, spans[1].size)
        patch = Deferred(kernel, maps, around, parent, sides, torch.Size(shape), base, spans)
    else:
        patch = kernel(maps, around)
        if finish and around is not sides:
            patch = finish(patch, spans)
    still = run.still(lambda: kernel(parent.get(), sides))
    step = run.note((value.step,), motions, patch, value.axes, spans, work)
    return IncrementalTensor(run, still, patch, value.axes, spans, step)


def _costs_less_whole(
    value: IncrementalTensor, spans: tuple[Interval, Interval], motions: tuple[Slide, Slide], work: float
) -> bool:
    """Whether the operation on whole maps takes no longer than on boxes; either way the surroundings are fetched."""
    byte = _GATHER * value.shape[1] * value.dtype.itemsize
    fetched = motions[0].needs(spans[0].size) * motions[1].needs(spans[1].size)
    whole = motions[0].length * motions[1].length * work + value.spans[0].length * value.spans[1].length * byte
    return spans[0].size * spans[1].size * work + fetched * byte >= whole


def _surroundings(
    run: IncrementalPass,
    value: IncrementalTensor,
    spans: tuple[Interval, Interval],
    motions: tuple[Slide, Slide],
    sides: Sides,
    empty: float,
) -> Tensor:
    """Everything that the kernel sees to compute the boxes `spans` of its result, padding included."""
    corner, size = _seen(spans, motions)
    if _is_held(value, corner, size):
        return value.patch  # a kernel of one place sees no surroundings
    parent = value.still
    padded = run.still(lambda: _padded(parent.get(), sides, empty), "padded") if any(sides) else parent
    window = cut(padded.get(), value.axes, [corner[0] + sides[0], corner[1] + sides[2]], size)
    paste(value, window, corner)
    return window


def _differences(value: IncrementalTensor, spans: tuple[Interval, Interval], motions: tuple[Slide, Slide]) -> Tensor:
    """The same less the unchanged picture's values, in bfloat16: its error is small beside the difference itself."""
    still = value.still.get()
    if value.is_whole:
        return (value.patch - still).bfloat16()
    held = value.patch - cut(still, value.axes, [s.first for s in value.spans], [s.size for s in value.spans])
    corner, size = _seen(spans, motions)
    if _is_held(value, corner, size):
        return held.bfloat16()
    window = held.new_zeros((len(held), size[0], size[1], held.shape[1]), dtype=torch.bfloat16).permute(0, 3, 1, 2)
    paste(value, window, corner, held)
    return window


def _seen(spans: tuple[Interval, Interval], motions: tuple[Slide, Slide]) -> tuple[list[Places], list[int]]:
    """First row and column, and how many, that a kernel sees to compute these boxes."""
    corner = [motion.stride * span.first - motion.before for motion, span in zip(motions, spans, strict=True)]
    return corner, [motion.needs(span.size) for motion, span in zip(motions, spans, strict=True)]


def _is_held(value: IncrementalTensor, corner: list[Places], size: list[int]) -> bool:
    return size == list(value.patch.shape[2:]) and all(
        bool((c == s.first).all()) for c, s in zip(corner, value.spans, strict=True)
    )


def _padded(maps: Tensor, sides: Sides, empty: float) -> Tensor:
    top, bottom, left, right = sides
    return F.pad(maps, (left, right, top, bottom), value=empty)


def _length(length: int, kernel: int, stride: int, before: int, after: int) -> int:
    return (length + before + after - kernel) // stride + 1


@rule(op.CONVOLUTION)
def convolution(
    run: IncrementalPass,
    func: Callable[..., Any],  # noqa: ARG001
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """Convolution, whatever its stride, dilation, groups and padding with zeros."""
    x, weight, bias, stride, padding, dilation, groups = op.CONVOLUTION.bind(args, kwargs).values()
    if not _on_maps(x) or isinstance(weight, IncrementalTensor) or isinstance(bias, IncrementalTensor):
        return NotImplemented
    steps, spread = _pair(stride), _pair(dilation)
    reach = [spread[k] * (weight.shape[2 + k] - 1) + 1 for k in (0, 1)]
    if padding == "same":
        before = [(r - 1) // 2 for r in reach]
        sides = (before[0], reach[0] - 1 - before[0], before[1], reach[1] - 1 - before[1])
    else:
        down, across = (0, 0) if padding == "valid" else _pair(padding)
        sides = (down, down, across, across)
    motions = _motions(x, reach, steps, sides)

    kernel = run.prepared(lambda: Convolution(weight, bias, steps, spread, groups))
    return slide(run, x, kernel, motions, sides, 0.0, float(weight.numel()))


def _motions(x: IncrementalTensor, reach: Sequence[int], steps: Sequence[int], sides: Sides) -> tuple[Slide, Slide]:
    down, across = (
        Slide(reach[k], steps[k], sides[2 * k],
              _length(x.shape[2 + k], reach[k], steps[k], sides[2 * k], sides[2 * k + 1]))
        for k in (0, 1)
    )  # fmt: skip
    return down, across


def _gives_indices(func: Callable[..., Any]) -> bool:
    return func.__name__.endswith("_with_indices")


def _pool_sides(x: IncrementalTensor, size: Sequence[int], steps: Sequence[int], padding: Any, ceil: bool) -> Sides:
    """The padding of a pooling, with what rounding up its size adds below and to the right."""
    sides = []
    for k, before in enumerate(_pair(padding)):
        length = x.shape[2 + k]
        count = -(-(length + 2 * before - size[k]) // steps[k]) + 1 if ceil else 0
        if count and (count - 1) * steps[k] >= length + before:
            count -= 1  # a window must begin inside the map or its front padding
        after = max(before, (count - 1) * steps[k] + size[k] - length - before) if ceil else before
        sides += [before, after]
    return sides[0], sides[1], sides[2], sides[3]


@rule(op.MAX_POOL)
def max_pooling(
    run: IncrementalPass,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """The largest value under a window."""
    x, size, stride, padding, dilation, ceil, indices = op.MAX_POOL.bind(args, kwargs).values()
    if not _on_maps(x) or indices or _gives_indices(func):
        return NotImplemented
    size, spread = _pair(size), _pair(dilation)
    steps = _pair(stride) if stride not in (None, [], ()) else size
    reach = [spread[k] * (size[k] - 1) + 1 for k in (0, 1)]
    sides = _pool_sides(x, reach, steps, padding, ceil)

    def kernel(maps: Tensor, around: Sides) -> Tensor:
        if any(around):
            return F.max_pool2d(maps, size, steps, padding, dilation, ceil)
        return F.max_pool2d(maps, size, steps, 0, spread)

    return slide(
        run, x, kernel, _motions(x, reach, steps, sides), sides, -torch.inf, float(x.shape[1] * size[0] * size[1])
    )


@rule(op.AVG_POOL)
def mean_pooling(
    run: IncrementalPass,
    func: Callable[..., Any],  # noqa: ARG001
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """The mean under a window; at the edge the divisor depends on the place."""
    x, size, stride, padding, ceil, include, divisor = op.AVG_POOL.bind(args, kwargs).values()
    if not _on_maps(x):
        return NotImplemented
    size = _pair(size)
    steps = _pair(stride) if stride not in (None, [], ()) else size
    sides = _pool_sides(x, size, steps, padding, ceil)
    plain = not any(sides)

    def kernel(maps: Tensor, around: Sides) -> Tensor:
        if plain or any(around):
            return F.avg_pool2d(maps, size, steps, padding, ceil, include, divisor)
        return F.avg_pool2d(maps, size, steps, divisor_override=1)

    def over_counts(sums: Tensor, spans: Sequence[Interval]) -> Tensor:
        counts = run.still(lambda: _counts(x, size, steps, sides, (padding, ceil, include, divisor)), "counts")
        return sums / cut(counts.get(), (2, 3), [s.first for s in spans], [s.size for s in spans])

    motions = _motions(x, size, steps, sides)
    finish = None if plain else over_counts
    return slide(run, x, kernel, motions, sides, 0.0, float(x.shape[1] * size[0] * size[1]), finish)


def _counts(x: IncrementalTensor, size: Any, steps: Any, sides: Sides, rest: tuple[Any, Any, Any, Any]) -> Tensor:
    """What the sum under each window is divided by, `[1, 1, row, column]`."""
    padding, ceil, include, divisor = rest
    ones = torch.ones(1, 1, *x.shape[2:], dtype=x.dtype, device=x.device)
    sums = F.avg_pool2d(_padded(ones, sides, 0.0), size, steps, divisor_override=1)
    return sums / F.avg_pool2d(ones, size, steps, padding, ceil, include, divisor)


@rule(op.ADAPTIVE_AVG_POOL, op.ADAPTIVE_MAX_POOL)
def adaptive_pooling(
    run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """To a size that divides the map's it is plain pooling; the mean to one place is the mean of all."""
    largest = called(func) is op.ADAPTIVE_MAX_POOL
    named = (op.ADAPTIVE_MAX_POOL if largest else op.ADAPTIVE_AVG_POOL).bind(args, kwargs)
    x, size = named["input"], named["output_size"]
    if not _on_maps(x) or named.get("return_indices") or _gives_indices(func):
        return NotImplemented
    pair = size if isinstance(size, (tuple, list)) else (size, size)
    wanted = tuple(x.shape[2 + k] if pair[k] is None else int(pair[k]) for k in (0, 1))
    if wanted == tuple(x.shape[2:]):
        return run.pointwise(x, x.patch, lambda still: still, aliased=True)
    if wanted == (1, 1) and not largest:
        return averaging(run, Tensor.mean, (x, (2, 3), True), {})
    if wanted == (1, 1) or any(x.shape[2 + k] % wanted[k] for k in (0, 1)):
        return NotImplemented
    cell = [x.shape[2 + k] // wanted[k] for k in (0, 1)]
    pooling = max_pooling if largest else mean_pooling
    return pooling(run, func, (x, cell), {})


@rule(op.PAD)
def padding(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Rows and columns put around the map; what mirrors the map's edge is local only away from it."""
    named = op.PAD.bind(args, kwargs, func)
    x, pad, mode, value = named["input"], named["pad"], named.get("mode", "constant"), named["value"]
    if not _on_maps(x) or len(pad) > 4 or min(pad) < 0:
        return NotImplemented
    left, right, top, bottom = [*pad, 0, 0][:4]
    sides, parent = (top, bottom, left, right), x.still
    motions = tuple(Shift(sides[2 * k], x.shape[2 + k] + sides[2 * k] + sides[2 * k + 1]) for k in (0, 1))

    def around(maps: Tensor) -> Tensor:
        return F.pad(maps, list(pad), mode, value)

    near = mode != "constant" and any(_near_edge(s, max(sides[2 * k : 2 * k + 2])) for k, s in enumerate(x.spans))
    still = run.still(lambda: around(parent.get()))
    if near or x.is_whole:
        patch = around(x.dense())
        spans = tuple(Interval.whole(len(patch), m.length) for m in motions)
    else:
        patch, spans = x.patch, tuple(m.through(s) for m, s in zip(motions, x.spans, strict=True))
        patch = patch.clone(memory_format=torch.preserve_format)
    pair = (spans[0], spans[1])
    step = run.note((x.step,), (motions[0], motions[1]), patch, x.axes, pair)
    return IncrementalTensor(run, still, patch, x.axes, pair, step)


def _near_edge(span: Interval, margin: int) -> bool:
    return bool((span.start <= margin).any()) or bool((span.stop >= span.length - margin).any())


@rule(op.INTERPOLATE)
def resizing(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Enlarging by a whole number, to the nearest or bilinearly with half-pixel centres."""
    named = op.INTERPOLATE.bind(args, kwargs, func)
    x, size, factor, mode, corners = (
        named[name] for name in ("input", "size", "scale_factor", "mode", "align_corners")
    )
    antialias = named.get("antialias")
    if not _on_maps(x) or corners or antialias or mode not in ("nearest", "nearest-exact", "bilinear"):
        return NotImplemented
    shape = x.shape[2:]
    wanted = _pair(size) if size is not None else tuple(int(f * s) for f, s in zip(_floats(factor), shape, strict=True))
    if any(w % s or w < s for w, s in zip(wanted, shape, strict=True)) or (
        factor is not None and any(f != int(f) for f in _floats(factor))
    ):
        return NotImplemented
    times = [wanted[k] // shape[k] for k in (0, 1)]
    reach = 1 if mode == "bilinear" else 0
    motions = (Stretch(times[0], reach), Stretch(times[1], reach))
    parent = x.still

    def enlarge(maps: Tensor) -> Tensor:
        return F.interpolate(maps, scale_factor=[float(t) for t in times], mode=mode)

    still = run.still(lambda: enlarge(parent.get()))
    spans = (motions[0].through(x.spans[0]), motions[1].through(x.spans[1]))
    if x.is_whole or (reach and any(_near_edge(span, reach) for span in x.spans)):
        patch = enlarge(x.dense())
        spans = (Interval.whole(len(patch), wanted[0]), Interval.whole(len(patch), wanted[1]))
    else:
        patch = _enlarged_boxes(run, x, enlarge, spans, times, reach)
    step = run.note((x.step,), motions, patch, x.axes, spans)
    return IncrementalTensor(run, still, patch, x.axes, spans, step)


def _floats(value: Any) -> tuple[float, float]:
    values = [float(v) for v in value] if isinstance(value, (tuple, list)) else [float(value)]
    return values[0], values[-1]


def _enlarged_boxes(
    run: IncrementalPass,
    x: IncrementalTensor,
    enlarge: Callable[[Tensor], Tensor],
    spans: tuple[Interval, Interval],
    times: list[int],
    reach: int,
) -> Tensor:
    """Enlarge the boxes with a margin whose own results, wrong at its rim, are cut off."""
    parent = x.still
    corner = [span.first // t - reach for span, t in zip(spans, times, strict=True)]
    size = [-(-span.size // t) + 1 + 2 * reach for span, t in zip(spans, times, strict=True)]
    side = reach + 2
    framed = run.still(lambda: F.pad(parent.get(), [side] * 4, mode="replicate"), "framed")
    window = cut(framed.get(), x.axes, [c + side for c in corner], size)
    paste(x, window, corner)
    grown = enlarge(window)
    first = [span.first - t * c for span, t, c in zip(spans, times, corner, strict=True)]
    parts = [
        grown[i : i + 1, :, first[0][i] : first[0][i] + spans[0].size, first[1][i] : first[1][i] + spans[1].size]
        for i in range(len(grown))
    ]
    return torch.cat(parts)
