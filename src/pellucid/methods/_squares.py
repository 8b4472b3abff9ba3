"""What the methods that hide squares share: where the squares lie, what hides, and what the result must say of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.contracts import LocalPerturbation, Map, Maps
from pellucid.errors import BadOption
from pellucid.masking import Fill, inside

SHAPES = ("square", "disc")
Size: TypeAlias = tuple[int, ...]
"""One number per axis: of pictures rows and columns, in pixels."""
_SHARE = 7
"""The default window is a seventh of each side: 32 of 224 pixels, and never half of a picture."""
ONE_AT_A_TIME = "Channels were hidden one at a time; the map is the sum over channels."
_GAPS = "; what lies between them has the value of the last one before it"


def sizes(
    method: str, size: Size, window: int | Size | None, stride: int | Size | None, shape: str, steps: int = 2
) -> tuple[Size, Size]:
    """Sides of the window and of its steps, one per axis.

    Args:
        method: that errors name.
        size: of the pictures.
        window: as the option has it; None is a seventh of each side, at least 1.
        stride: likewise; None is the window's side through `steps`, at least 1.
        shape: of the window.
        steps: that make up a window by default.

    Raises:
        BadOption: no pixels, no steps, sizes for another number of axes, or an unknown shape.
    """
    if window is None:
        window = tuple(max(1, round(length / _SHARE)) for length in size)
    sides = _each_axis(method, "window", window, len(size))
    if stride is None:
        stride = tuple(max(1, side // steps) for side in sides)
    moves = _each_axis(method, "stride", stride, len(size))
    if min(sides) < 1 or min(moves) < 1:
        raise BadOption(
            f"Expected window >= 1 and stride >= 1 for {method}, got window {_said(sides)} and stride {_said(moves)}."
        )
    if shape not in SHAPES:
        raise BadOption(f"Expected {' or '.join(SHAPES)} as shape of {method}, got {shape!r}.")
    return sides, moves


def _each_axis(method: str, name: str, sides: int | Size, axes: int) -> Size:
    if isinstance(sides, int):
        return (sides,) * axes
    if len(sides) != axes:
        raise BadOption(f"Expected one number, or one for each of {axes} axes, as {name} of {method}, got {sides}.")
    return sides


def _said(sides: Size) -> str:
    return str(sides[0]) if len(set(sides)) == 1 else " x ".join(map(str, sides))


def starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows, up to the one that reaches the end, or to the last inside the picture."""
    count = min(1 + max(0, -(-(length - window) // stride)), -(-length // stride))
    return [k * stride for k in range(count)]


def windows(size: Size, window: Size, stride: Size) -> tuple[Tensor, Size]:
    """Boxes `[position, 2 axes]`, in reading order, cut off at the edge; and how many positions each axis has."""
    begins = [starts(*each) for each in zip(size, window, stride, strict=True)]
    places = torch.cartesian_prod(*map(torch.tensor, begins)).reshape(-1, len(size))
    ends = (places + torch.tensor(window)).minimum(torch.tensor(size))
    return torch.cat([places, ends], 1), tuple(map(len, begins))


def hidden(
    boxes: Tensor, fill: Fill, window: Size, shape: str = "square", channels: Tensor | None = None
) -> LocalPerturbation:
    """The change that hides boxes, `[count, 2 axes]` or `[batch, count, 2 axes]`, or the discs that fit into them.

    In all channels, or in the one that `channels` `[count]` names.
    """

    def paint(parts: Maps, samples: Tensor, numbers: Tensor, corners: Tensor) -> Maps:
        mine = (boxes[numbers.cpu()] if boxes.ndim == 2 else boxes[samples.cpu(), numbers.cpu()]).to(corners)
        seen = inside(mine, corners, parts.shape)
        if shape == "disc":
            seen &= _disc(mine, corners, parts.shape, window)
        if channels is not None:
            seen = in_channel(seen, channels[numbers.cpu()], parts.shape[1])
        return fill.hide(parts, samples, seen, corners)

    return LocalPerturbation(boxes, paint)


def in_channel(seen: Tensor, channels: Tensor, count: int) -> Tensor:
    """A mask `[n, 1, *axes]` that is true in one channel of `count` only, `channels` `[n]`."""
    mine = torch.arange(count, device=seen.device) == channels.to(seen.device)[:, None]
    return seen & mine.reshape(*mine.shape, *(1,) * (seen.ndim - 2))


def _disc(boxes: Tensor, corners: Tensor, shape: torch.Size, window: Size) -> Tensor:
    """Which pixels lie in the discs (of two sizes, ellipses) that fit into the windows beginning where the boxes do."""
    longest, axes = max(window), len(window)
    square = torch.zeros(len(corners), *(1,) * axes, device=corners.device)
    for k, side in enumerate(window):
        place = corners[:, k, None] + torch.arange(shape[2 + k], device=corners.device)
        away = (place - boxes[:, k, None] - (side - 1) / 2) * (longest / side)
        square = square + away.reshape(len(away), *(1,) * k, -1, *(1,) * (axes - 1 - k)) ** 2
    return (square <= (longest / 2) ** 2)[:, None]


def spread(drop: Map, window: Size, stride: Size, size: Size) -> Map:
    """Mean over the covering windows, `[batch, *axes]`: cover matrices are separable, one per axis.

    A pixel between windows, where the stride is larger than they are, has the value of the last window before it.
    """
    covers = [
        _cover(starts(length, side, step), side, length).to(drop)
        for length, side, step in zip(size, window, stride, strict=True)
    ]
    count = reduce(lambda known, more: known[..., None] * more, [cover.sum(1) for cover in covers])
    return weighted(drop, covers) / count


def weighted(maps: Map, weights: Sequence[Tensor]) -> Map:
    """Sums over the places of `[batch, *axes]` with weights `[place, axis]` of each axis, `[batch, *places]`."""
    axes, places = "ijk"[: len(weights)], "rcd"[: len(weights)]
    of_each = ",".join(place + axis for place, axis in zip(places, axes, strict=True))
    total: Map = torch.einsum(f"b{axes},{of_each}->b{places}", maps, *weights)
    return total


def _cover(begin: list[int], window: int, length: int) -> Tensor:
    pixel, start = torch.arange(length)[:, None], torch.tensor(begin)[None]
    step = begin[1] - begin[0] if len(begin) > 1 else length
    return (pixel >= start) & (pixel < start + max(window, step))


_WORDS = {1: ("stretch", "stretches", "place"), 3: ("box", "boxes", "voxel")}
"""What hides along one and three axes, and what it hides."""


def conventions(window: Size, stride: Size, shape: str, fill: float | str | Tensor) -> str:
    """The note that tells these maps from those of other programs."""
    hides = "a tensor" if isinstance(fill, Tensor) else fill
    gaps = _GAPS if any(step > side for step, side in zip(stride, window, strict=True)) else ""
    one, several, place = _WORDS.get(len(window), (shape, f"{shape}s", "pixel"))
    return (
        f"Each value is what the score lost while a {one} of {_said(window)} {place}s, moved by {_said(stride)}, hid "
        f"the place (filled with {hides}); a {place} has the mean over the {several} that cover it; those that reach "
        f"over the edge are cut off{gaps}."
    )
