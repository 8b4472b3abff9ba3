"""Rules for taking channels and places out of maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from pellucid.capture.incremental.kernels import Sides, padded
from pellucid.capture.incremental.passes import IncrementalPass, rule
from pellucid.capture.incremental.reshaping import turned
from pellucid.capture.incremental.value import IncrementalTensor
from pellucid.capture.incremental.windows import slide, slides
from pellucid.capture.operators import op

Wanted: TypeAlias = list[Any]
"""A number or a slice for each axis."""
_EVERYTHING = slice(None)


@rule(op.GETITEM)
def choosing(run: IncrementalPass, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:  # noqa: ARG001
    """Some channels, as `x[:, :k]` and `x[:, k]`, or some places, as `x[:, :, 1:-1:2]`."""
    if func is not Tensor.__getitem__ or not isinstance(args[0], IncrementalTensor):
        return NotImplemented
    x, wanted = args[0], _by_axis(args[1], args[0].ndim)
    if wanted is None or wanted[0] != _EVERYTHING:
        return NotImplemented
    if any(wanted[a] != _EVERYTHING for a in x.axes):
        return _places(run, x, wanted)
    gone = [a for a, w in enumerate(wanted) if isinstance(w, int)]
    axes = tuple(a - sum(g < a for g in gone) for a in x.axes)
    return turned(run, x, x.patch[tuple(wanted)], axes, lambda still: still[tuple(wanted)])


def _by_axis(index: Any, axes: int) -> Wanted | None:
    """What is wanted of each axis; None where it is not told by numbers and slices."""
    given = index if isinstance(index, tuple) else (index,)
    dots = [k for k, w in enumerate(given) if w is Ellipsis]
    rest = [_EVERYTHING] * (axes - len(given) + len(dots))
    at = dots[0] if len(dots) == 1 else len(given)
    wanted = [*given[:at], *rest, *given[at + 1 :]]
    known = len(wanted) == axes and all(isinstance(w, (int, slice)) and not isinstance(w, bool) for w in wanted)
    return wanted if known else None


def _places(run: IncrementalPass, x: IncrementalTensor, wanted: Wanted) -> Any:
    """Places only, and at least one along each axis."""
    if not x.on_maps or wanted[1] != _EVERYTHING or not all(isinstance(w, slice) for w in wanted):
        return NotImplemented
    ranges = [range(length)[w] for w, length in zip(wanted[2:], x.shape[2:], strict=True)]
    if not all(ranges):
        return NotImplemented
    sides = tuple((-r.start, r[-1] + 1 - length) for r, length in zip(ranges, x.shape[2:], strict=True))
    x.aliased, result = True, cropped(run, x, sides, [r.step for r in ranges])
    result.part = True
    return result


def cropped(run: IncrementalPass, x: IncrementalTensor, sides: Sides, steps: Sequence[int]) -> IncrementalTensor:
    """Every so-manieth place of maps of which some are cut off, in memory of its own.

    Args:
        run: the pass.
        x: the maps.
        sides: how many places are cut off, none above 0.
        steps: from place to place.
    """

    def kernel(maps: Tensor, around: Sides) -> Tensor:
        chosen: tuple[Any, ...] = (..., *(slice(None, None, step) for step in steps))
        return padded(maps, around)[chosen]

    return slide(run, x, kernel, slides(x, [1] * len(steps), steps, sides), sides, 0.0, 0.0)
