"""Kernels that slide over a map: what their boxes see, and the rule for convolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.incremental.kernels import Convolution, Sides, padded
from pellucid.capture.incremental.passes import IncrementalPass, rule
from pellucid.capture.incremental.spans import Interval, Places, Slide, Spans
from pellucid.capture.incremental.value import Deferred, IncrementalTensor, cut, paste
from pellucid.capture.operators import op

_GATHER = 2.0
"""Multiply-adds that take as long as moving one byte into a box's surroundings; measured as `_BYTE` is."""
_HEAVY = 512
"""Multiply-adds for each number of its result from which a convolution is quicker on differences in bfloat16."""


def each_axis(value: Any, axes: int) -> tuple[int, ...]:
    """An argument such as a stride, one number for each axis."""
    values = [int(v) for v in value] if isinstance(value, (tuple, list)) else [int(value)]
    return tuple(values * axes if len(values) == 1 else values)


def on_maps(value: Any, axes: int | None = None) -> bool:
    """Whether a value is followed as maps `[n, channel, *axes]`, with so many axes if that is told.

    torch takes a value with one axis less than a function is for as a sample without a batch, which is another thing.
    """
    return isinstance(value, IncrementalTensor) and value.on_maps and axes in (None, len(value.axes))


def slide(
    run: IncrementalPass,
    value: IncrementalTensor,
    kernel: Callable[[Tensor, Sides], Tensor],
    motions: tuple[Slide, ...],
    sides: Sides,
    empty: float,
    work: float,
    finish: Callable[[Tensor, Spans], Tensor] | None = None,
) -> IncrementalTensor:
    """The result of a kernel that slides over the map.

    Args:
        run: the pass.
        value: the input.
        kernel: computes it from values and the padding still to be put around them.
        motions: how it moves along each axis.
        sides: the padding around the whole map.
        empty: what the padding holds.
        work: multiply-adds for each place of the result.
        finish: treats the result in the boxes further, for what depends on the place.
    """
    parent = value.still
    spans = moved(motions, value.spans)
    if value.is_whole or _costs_less_whole(value, spans, motions, work):
        value.dense()
    around, base = tuple((0, 0) for _ in sides), None
    if value.is_whole:
        around = sides
        spans = tuple(Interval.whole(len(value.patch), motion.length) for motion in motions)
    if run.fast and isinstance(kernel, Convolution) and kernel.work >= _HEAVY:
        base = run.still(lambda: kernel.linear(parent.get(), sides), "linear")
        maps = _differences(value, spans, motions)
    else:
        maps = value.patch if value.is_whole else _surroundings(run, value, spans, motions, sides, empty)
    patch: Tensor | Deferred
    if isinstance(kernel, Convolution):
        shape = torch.Size((len(maps), len(kernel.weight), *(span.size for span in spans)))
        patch = Deferred(kernel, maps, around, parent, sides, shape, base, spans)
    else:
        patch = kernel(maps, around)
        if finish and around is not sides:
            patch = finish(patch, spans)
    still = run.still(lambda: kernel(parent.get(), sides))
    step = run.note((value.step,), motions, patch, value.axes, spans, work)
    return IncrementalTensor(run, still, patch, value.axes, spans, step)


def moved(motions: Sequence[Any], spans: Spans) -> Spans:
    """Where the result differs along each axis."""
    return tuple(motion.through(span) for motion, span in zip(motions, spans, strict=True))


def _costs_less_whole(value: IncrementalTensor, spans: Spans, motions: tuple[Slide, ...], work: float) -> bool:
    """Whether the operation on whole maps takes no longer than on boxes; either way the surroundings are fetched."""
    byte = _GATHER * value.shape[1] * value.dtype.itemsize
    fetched = math.prod(motion.needs(span.size) for motion, span in zip(motions, spans, strict=True))
    whole = math.prod(m.length for m in motions) * work + math.prod(s.length for s in value.spans) * byte
    return math.prod(s.size for s in spans) * work + fetched * byte >= whole


def _surroundings(
    run: IncrementalPass,
    value: IncrementalTensor,
    spans: Spans,
    motions: tuple[Slide, ...],
    sides: Sides,
    empty: float,
) -> Tensor:
    """Everything that the kernel sees to compute the boxes `spans` of its result, padding included."""
    corner, size = _seen(spans, motions)
    if _is_held(value, corner, size):
        return value.patch  # a kernel of one place sees no surroundings
    parent = value.still
    framed = run.still(lambda: padded(parent.get(), sides, empty), "padded") if any(map(any, sides)) else parent
    window = cut(framed.get(), value.axes, [c + side[0] for c, side in zip(corner, sides, strict=True)], size)
    paste(value, window, corner)
    return window


def _differences(value: IncrementalTensor, spans: Spans, motions: tuple[Slide, ...]) -> Tensor:
    """The same less the unchanged input's values, in bfloat16: its error is small beside the difference itself."""
    still = value.still.get()
    if value.is_whole:
        return (value.patch - still).bfloat16()
    held = value.patch - cut(still, value.axes, [s.first for s in value.spans], [s.size for s in value.spans])
    corner, size = _seen(spans, motions)
    if _is_held(value, corner, size):
        return held.bfloat16()
    window = held.new_zeros((len(held), *size, held.shape[1]), dtype=torch.bfloat16).movedim(-1, 1)
    paste(value, window, corner, held)
    return window


def _seen(spans: Spans, motions: tuple[Slide, ...]) -> tuple[list[Places], list[int]]:
    """First place along each axis, and how many, that a kernel sees to compute these boxes."""
    corner = [motion.stride * span.first - motion.before for motion, span in zip(motions, spans, strict=True)]
    return corner, [motion.needs(span.size) for motion, span in zip(motions, spans, strict=True)]


def _is_held(value: IncrementalTensor, corner: list[Places], size: list[int]) -> bool:
    return size == list(value.patch.shape[2:]) and all(
        bool((c == s.first).all()) for c, s in zip(corner, value.spans, strict=True)
    )


def slides(x: IncrementalTensor, reach: Sequence[int], steps: Sequence[int], sides: Sides) -> tuple[Slide, ...]:
    """How a kernel that reaches so far moves along each axis of a map with this padding."""
    return tuple(
        Slide(r, step, side[0], (length + sum(side) - r) // step + 1)
        for length, r, step, side in zip(x.shape[2:], reach, steps, sides, strict=True)
    )


@rule(op.CONVOLUTION)
def convolution(
    run: IncrementalPass,
    func: Callable[..., Any],  # noqa: ARG001
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """Convolution, whatever its stride, dilation, groups and padding with zeros."""
    x, weight, bias, stride, padding, dilation, groups = op.CONVOLUTION.bind(args, kwargs).values()
    if isinstance(weight, IncrementalTensor) or isinstance(bias, IncrementalTensor) or not on_maps(x, weight.ndim - 2):
        return NotImplemented
    axes = len(x.axes)
    steps, spread = each_axis(stride, axes), each_axis(dilation, axes)
    reach = [s * (size - 1) + 1 for s, size in zip(spread, weight.shape[2:], strict=True)]
    if padding == "same":
        sides: Sides = tuple(((r - 1) // 2, r - 1 - (r - 1) // 2) for r in reach)
    else:
        sides = tuple((p, p) for p in each_axis(0 if padding == "valid" else padding, axes))
    kernel = run.prepared(lambda: Convolution(weight, bias, steps, spread, groups))
    return slide(run, x, kernel, slides(x, reach, steps, sides), sides, 0.0, float(weight.numel()))
