"""Rules for what makes maps larger: padding, interpolation, transposed convolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.incremental.choosing import cropped
from pellucid.capture.incremental.kernels import padded
from pellucid.capture.incremental.passes import IncrementalPass, rule
from pellucid.capture.incremental.spans import Interval, Motion, Places, Shift, Spans, Spread, Stretch
from pellucid.capture.incremental.value import Baseline, IncrementalTensor, cut, paste
from pellucid.capture.incremental.windows import each_axis, moved, on_maps
from pellucid.capture.operators import op

_LINEAR = ("linear", "bilinear", "trilinear")
"""By number of axes."""
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


@rule(op.PAD)
def padding(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Places put around the map, or cut off; what mirrors the map's edge is local only away from it."""
    named = op.PAD.bind(args, kwargs, func)
    x, pad, mode, value = named["input"], named["pad"], named.get("mode", "constant"), named["value"]
    if not on_maps(x) or len(pad) > 2 * len(x.axes):
        return NotImplemented
    ends = [*pad, *[0] * (2 * len(x.axes) - len(pad))]
    sides = tuple(zip(ends[-2::-2], ends[::-2], strict=True))
    if min(pad) < 0:
        return cropped(run, x, sides, [1] * len(sides)) if mode == "constant" and max(pad) <= 0 else NotImplemented
    motions = tuple(
        Shift(before, length + before + behind) for length, (before, behind) in zip(x.shape[2:], sides, strict=True)
    )
    parent = x.still

    def around(maps: Tensor) -> Tensor:
        return F.pad(maps, list(pad), mode, value)

    near = mode != "constant" and any(_near_edge(s, max(side)) for side, s in zip(sides, x.spans, strict=True))
    still = run.still(lambda: around(parent.get()))
    if near or x.is_whole:
        return _whole(run, x, around(x.dense()), still, motions)
    spans, patch = moved(motions, x.spans), x.patch.clone(memory_format=torch.preserve_format)
    step = run.note((x.step,), motions, patch, x.axes, spans)
    return IncrementalTensor(run, still, patch, x.axes, spans, step)


def _near_edge(span: Interval, margin: int) -> bool:
    return bool((span.start <= margin).any()) or bool((span.stop >= span.length - margin).any())


def _whole(
    run: IncrementalPass,
    x: IncrementalTensor,
    patch: Tensor,
    still: Baseline,
    motions: tuple[Motion, ...],
    work: float = 0.0,
) -> IncrementalTensor:
    """A result on whole maps."""
    spans = tuple(Interval.whole(len(patch), length) for length in patch.shape[2:])
    step = run.note((x.step,), motions, patch, x.axes, spans, work)
    return IncrementalTensor(run, still, patch, x.axes, spans, step)


@rule(op.INTERPOLATE)
def resizing(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Enlarging by a whole number, to the nearest or linearly with half-pixel centres."""
    named = op.INTERPOLATE.bind(args, kwargs, func)
    x, size, factor, mode, corners = (
        named[name] for name in ("input", "size", "scale_factor", "mode", "align_corners")
    )
    if not on_maps(x) or corners or named.get("antialias"):
        return NotImplemented
    if mode not in ("nearest", "nearest-exact", _LINEAR[len(x.axes) - 1]):
        return NotImplemented
    times = _factors(x, size, factor)
    if times is None:
        return NotImplemented
    reach = 1 if mode in _LINEAR else 0
    motions = tuple(Stretch(t, reach) for t in times)
    parent = x.still

    def enlarge(maps: Tensor) -> Tensor:
        return F.interpolate(maps, scale_factor=[float(t) for t in times], mode=mode)

    still = run.still(lambda: enlarge(parent.get()))
    if x.is_whole or (reach and any(_near_edge(span, reach) for span in x.spans)):
        return _whole(run, x, enlarge(x.dense()), still, motions)
    spans, side = moved(motions, x.spans), reach + 2
    framed = run.still(lambda: F.pad(parent.get(), [side] * 2 * len(times), mode="replicate"), "framed")
    corner = [span.first // t - reach for span, t in zip(spans, times, strict=True)]
    held = [-(-span.size // t) + 1 + 2 * reach for span, t in zip(spans, times, strict=True)]
    grown = enlarge(_framed_boxes(x, framed, [side] * len(times), corner, held))
    patch = _kept(grown, [s.first - t * c for s, t, c in zip(spans, times, corner, strict=True)], spans)
    step = run.note((x.step,), motions, patch, x.axes, spans)
    return IncrementalTensor(run, still, patch, x.axes, spans, step)


def _factors(x: IncrementalTensor, size: Any, factor: Any) -> list[int] | None:
    """How many times as large each axis becomes; None where that is no whole number."""
    axes, shape = len(x.axes), x.shape[2:]
    if size is None:
        given = [float(f) for f in factor] if isinstance(factor, (tuple, list)) else [float(factor)] * axes
        return [int(f) for f in given] if all(f == int(f) and f >= 1 for f in given) else None
    wanted = each_axis(size, axes)
    if factor is not None or any(w % length or w < length for w, length in zip(wanted, shape, strict=True)):
        return None
    return [w // length for w, length in zip(wanted, shape, strict=True)]


def _framed_boxes(
    x: IncrementalTensor, framed: Baseline, before: Sequence[int], corner: Sequence[Places], size: Sequence[int]
) -> Tensor:
    """Boxes with their surroundings, out of the unchanged maps with a frame around them."""
    window = cut(framed.get(), x.axes, [c + b for c, b in zip(corner, before, strict=True)], size)
    paste(x, window, corner)
    return window


def _kept(grown: Tensor, first: Sequence[Places], spans: Spans) -> Tensor:
    """Of results with a rim that is wrong, the boxes; where these begin differs from variant to variant."""
    sizes = [span.size for span in spans]
    corners = np.stack(first, 1).tolist()
    return torch.cat(
        [
            grown[(slice(i, i + 1), slice(None), *(slice(c, c + s) for c, s in zip(corner, sizes, strict=True)))]
            for i, corner in enumerate(corners)
        ]
    )


@rule(op.TRANSPOSED_CONVOLUTION)
def transposed_convolution(
    run: IncrementalPass,
    func: Callable[..., Any],  # noqa: ARG001
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """Convolution that spreads each value over a window of the result."""
    x, weight, bias, stride, padding, more, groups, dilation = op.TRANSPOSED_CONVOLUTION.bind(args, kwargs).values()
    if isinstance(weight, IncrementalTensor) or isinstance(bias, IncrementalTensor) or not on_maps(x, weight.ndim - 2):
        return NotImplemented
    axes = len(x.axes)
    steps, cut_off, spread = (each_axis(value, axes) for value in (stride, padding, dilation))
    behind, transposed, parent = each_axis(more, axes), _TRANSPOSED[axes - 1], x.still
    motions = tuple(
        Spread(d * (size - 1) + 1, step, before, (length - 1) * step - 2 * before + d * (size - 1) + 1 + extra)
        for length, size, step, d, before, extra in zip(
            x.shape[2:], weight.shape[2:], steps, spread, cut_off, behind, strict=True
        )
    )

    def whole(maps: Tensor) -> Tensor:
        return transposed(maps, weight, bias, steps, cut_off, behind, groups, spread)

    still, spans = run.still(lambda: whole(parent.get())), moved(motions, x.spans)
    size = [motion.needs(span.size) for motion, span in zip(motions, spans, strict=True)]
    work = weight.numel() / math.prod(steps)
    if x.is_whole or math.prod(size) >= math.prod(x.shape[2:]):
        return _whole(run, x, whole(x.dense()), still, motions, work)
    corner = [motion.seen(span.first) for motion, span in zip(motions, spans, strict=True)]
    frame = [(m.kernel + extra) // m.stride + 3 for m, extra in zip(motions, behind, strict=True)]
    framed = run.still(lambda: padded(parent.get(), tuple((side, side) for side in frame)), "framed")
    grown = transposed(_framed_boxes(x, framed, frame, corner, size), weight, bias, steps, 0, 0, groups, spread)
    first = [s.first + m.before - m.stride * c for s, m, c in zip(spans, motions, corner, strict=True)]
    patch = _kept(grown, first, spans)
    step = run.note((x.step,), motions, patch, x.axes, spans, work)
    return IncrementalTensor(run, still, patch, x.axes, spans, step)
