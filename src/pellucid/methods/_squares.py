"""What the methods that hide squares share: where the squares lie, what hides, and what the result must say of it."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.contracts import LocalPerturbation, Map, Maps
from pellucid.errors import BadOption
from pellucid.masking import Fill, inside

SHAPES = ("square", "disc")
Size: TypeAlias = tuple[int, int]
"""Rows and columns, in pixels."""
_SHARE = 7
"""The default window is a seventh of each side: 32 of 224 pixels, and never half of a picture."""
ONE_AT_A_TIME = "Channels were hidden one at a time; the map is the sum over channels."
_GAPS = "; what lies between them has the value of the last one before it"


def sizes(
    method: str, size: Size, window: int | Size | None, stride: int | Size | None, shape: str, steps: int = 2
) -> tuple[Size, Size]:
    """Rows and columns of the window and of its steps.

    Args:
        method: that errors name.
        size: of the pictures.
        window: as the option has it; None is a seventh of each side, at least 1.
        stride: likewise; None is the window's side through `steps`, at least 1.
        shape: of the window.
        steps: that make up a window by default.

    Raises:
        BadOption: no pixels, no steps, or an unknown shape.
    """
    if window is None:
        window = (max(1, round(size[0] / _SHARE)), max(1, round(size[1] / _SHARE)))
    sides = _both(window)
    moves = (max(1, sides[0] // steps), max(1, sides[1] // steps)) if stride is None else _both(stride)
    if min(sides) < 1 or min(moves) < 1:
        raise BadOption(
            f"Expected window >= 1 and stride >= 1 for {method}, got window {_said(sides)} and stride {_said(moves)}."
        )
    if shape not in SHAPES:
        raise BadOption(f"Expected {' or '.join(SHAPES)} as shape of {method}, got {shape!r}.")
    return sides, moves


def _both(sides: int | Size) -> Size:
    return (sides, sides) if isinstance(sides, int) else (sides[0], sides[1])


def _said(sides: Size) -> str:
    return str(sides[0]) if sides[0] == sides[1] else f"{sides[0]} x {sides[1]}"


def starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows, up to the one that reaches the end, or to the last inside the picture."""
    count = min(1 + max(0, -(-(length - window) // stride)), -(-length // stride))
    return [k * stride for k in range(count)]


def windows(size: Size, window: Size, stride: Size) -> tuple[Tensor, int, int]:
    """Boxes `[position, 4]`, row by row, cut off at the edge; and how many lie below and beside one another."""
    tops, lefts = (starts(*each) for each in zip(size, window, stride, strict=True))
    places = torch.tensor([(t, c) for t in tops for c in lefts])
    ends = (places + torch.tensor(window)).minimum(torch.tensor(size))
    return torch.cat([places, ends], 1), len(tops), len(lefts)


def hidden(
    boxes: Tensor, fill: Fill, window: Size, shape: str = "square", channels: Tensor | None = None
) -> LocalPerturbation:
    """The change that hides boxes, `[count, 4]` or `[batch, count, 4]`, or the discs that fit into the windows.

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
    """A mask `[n, 1, row, column]` that is true in one channel of `count` only, `channels` `[n]`."""
    mine = torch.arange(count, device=seen.device) == channels.to(seen.device)[:, None]
    return seen & mine[:, :, None, None]


def _disc(boxes: Tensor, corners: Tensor, shape: torch.Size, window: Size) -> Tensor:
    """Which pixels lie in the discs (of two sizes, ellipses) that fit into the windows beginning where the boxes do."""
    longest = max(window)
    down, across = (
        (corners[:, k, None] + torch.arange(shape[2 + k], device=corners.device) - boxes[:, k, None] - (side - 1) / 2)
        * (longest / side)
        for k, side in enumerate(window)
    )
    return ((down[:, :, None] ** 2 + across[:, None, :] ** 2) <= (longest / 2) ** 2)[:, None]


def spread(drop: Map, window: Size, stride: Size, size: Size) -> Map:
    """Mean over the covering windows, `[batch, row, column]`: cover matrices are separable in rows and columns.

    A pixel between windows, where the stride is larger than they are, has the value of the last window before it.
    """
    rows, columns = (
        _cover(starts(length, side, step), side, length).to(drop)
        for length, side, step in zip(size, window, stride, strict=True)
    )
    total = torch.einsum("bij,ri,cj->brc", drop, rows, columns)
    return total / torch.outer(rows.sum(1), columns.sum(1))


def _cover(begin: list[int], window: int, length: int) -> Tensor:
    pixel, start = torch.arange(length)[:, None], torch.tensor(begin)[None]
    step = begin[1] - begin[0] if len(begin) > 1 else length
    return (pixel >= start) & (pixel < start + max(window, step))


def conventions(window: Size, stride: Size, shape: str, fill: float | str | Tensor) -> str:
    """The note that tells these maps from those of other programs."""
    hides = "a tensor" if isinstance(fill, Tensor) else fill
    gaps = _GAPS if any(step > side for step, side in zip(stride, window, strict=True)) else ""
    return (
        f"Each value is what the score lost while a {shape} of {_said(window)} pixels, moved by {_said(stride)}, hid "
        f"the place (filled with {hides}); a pixel has the mean over the {shape}s that cover it; those that reach over "
        f"the edge are cut off{gaps}."
    )
