"""What the methods that hide squares share: where the squares lie, what hides, and what the result must say of it."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.errors import BadOption
from pellucid.fills import Fill, inside
from pellucid.types import Local, Map, Maps

SHAPES = ("square", "disc")
_GAPS = "; what lies between them has the value of the last one before it"


def starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows, up to the one that reaches the end, or to the last inside the picture."""
    count = min(1 + max(0, -(-(length - window) // stride)), -(-length // stride))
    return [k * stride for k in range(count)]


def windows(size: tuple[int, int], window: int, stride: int) -> tuple[Tensor, int, int]:
    """Boxes `[position, 4]`, row by row, cut off at the edge; and how many lie below and beside one another."""
    tops, lefts = (starts(length, window, stride) for length in size)
    places = torch.tensor([(t, c) for t in tops for c in lefts])
    return torch.cat([places, (places + window).clamp(max=torch.tensor(size))], 1), len(tops), len(lefts)


def hidden(boxes: Tensor, fill: Fill, window: int, shape: str = "square") -> Local:
    """The change that hides boxes, `[count, 4]` or `[batch, count, 4]`, or the discs that fit into the windows."""

    def paint(parts: Maps, samples: Tensor, numbers: Tensor, corners: Tensor) -> Maps:
        mine = (boxes[numbers.cpu()] if boxes.ndim == 2 else boxes[samples.cpu(), numbers.cpu()]).to(corners)
        seen = inside(mine, corners, parts.shape)
        if shape == "disc":
            seen &= _disc(mine, corners, parts.shape, window)
        return fill.hide(parts, samples, seen, corners)

    return Local(boxes, paint)


def _disc(boxes: Tensor, corners: Tensor, shape: torch.Size, window: int) -> Tensor:
    """Which pixels lie in the discs around the middles of the windows that begin where the boxes do."""
    middle = (window - 1) / 2
    down, across = (
        corners[:, k, None] + torch.arange(shape[2 + k], device=corners.device) - boxes[:, k, None] - middle
        for k in (0, 1)
    )
    return ((down[:, :, None] ** 2 + across[:, None, :] ** 2) <= (window / 2) ** 2)[:, None]


def spread(drop: Map, window: int, stride: int, size: tuple[int, int]) -> Map:
    """Mean over the covering windows, `[batch, row, column]`: cover matrices are separable in rows and columns.

    A pixel between windows, where the stride is larger than they are, has the value of the last window before it.
    """
    rows, columns = (_cover(starts(length, window, stride), window, length).to(drop) for length in size)
    total = torch.einsum("bij,ri,cj->brc", drop, rows, columns)
    return total / torch.outer(rows.sum(1), columns.sum(1))


def _cover(begin: list[int], window: int, length: int) -> Tensor:
    pixel, start = torch.arange(length)[:, None], torch.tensor(begin)[None]
    step = begin[1] - begin[0] if len(begin) > 1 else length
    return (pixel >= start) & (pixel < start + max(window, step))


def check(method: str, window: int, stride: int, shape: str) -> None:
    """Refuse what is no sliding window.

    Raises:
        BadOption: no pixels, no steps, or an unknown shape.
    """
    if window < 1 or stride < 1:
        raise BadOption(f"Expected window >= 1 and stride >= 1 for {method}, got window {window} and stride {stride}.")
    if shape not in SHAPES:
        raise BadOption(f"Expected {' or '.join(SHAPES)} as shape of {method}, got {shape!r}.")


def conventions(window: int, stride: int, shape: str, fill: float | str) -> str:
    """The note that tells these maps from those of other programs."""
    return (
        f"Each value is what the score lost while a {shape} of {window} pixels, moved by {stride}, hid the place "
        f"(filled with {fill}); a pixel has the mean over the {shape}s that cover it; those that reach over the edge "
        f"are cut off{_GAPS if stride > window else ''}."
    )
