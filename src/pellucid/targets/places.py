"""Parts of a picture: boxes, points and masks, in pixels of the picture as given and in those of the model's input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Box, Frame
from pellucid.errors import BadOption


def boxes(given: Any, count: int) -> list[Box]:
    """One box per picture, in pixels of the picture.

    Raises:
        BadOption: it is not four numbers, or they enclose nothing.
    """
    rows = _one_each(given, 4, "a box (left, top, right, bottom)", count)
    found: list[Box] = [(left, top, right, bottom) for left, top, right, bottom in rows]
    for box in found:
        if not (box[0] < box[2] and box[1] < box[3]):
            raise BadOption(f"Expected a box with left < right and top < bottom, in pixels, got {written(box)}.")
    return found


def points(given: Any, count: int) -> list[tuple[float, float]]:
    """One point per picture, x and y in its pixels.

    Raises:
        BadOption: it is not two numbers.
    """
    return [(x, y) for x, y in _one_each(given, 2, "a point (x, y)", count)]


def _one_each(given: Any, length: int, what: str, count: int) -> list[list[float]]:
    given = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(given, Sequence) and not isinstance(given, str) and len(given) and not _are_numbers(given):
        rows = [row.tolist() if hasattr(row, "tolist") else row for row in given]
    else:
        rows = [given] * count
    for row in rows:
        if not isinstance(row, Sequence) or isinstance(row, str) or len(row) != length or not _are_numbers(row):
            raise BadOption(f"Expected {what} in pixels of the picture, or one for each, got {row!r}.")
    if len(rows) != count:
        raise BadOption(f"Expected {what}, or one for each of {count} pictures, got {len(rows)}.")
    return [[float(number) for number in row] for row in rows]


def _are_numbers(row: Sequence[Any]) -> bool:
    return all(not isinstance(n, bool) and isinstance(n, Real) and math.isfinite(n) for n in row)


def written(numbers: Sequence[float]) -> str:
    """A box or a point as one would type it."""
    return ",".join(f"{number:.6g}" for number in numbers)


def masks(mask: Any, box: Any, point: Any, frames: Sequence[Frame]) -> Tensor | None:
    """The part of each picture as a mask over the model's input, `[batch, row, column]`; None when none was given.

    Raises:
        BadOption: a part that does not fit the picture, or of which the model sees nothing.
    """
    if mask is not None:
        found = [_from_mask(m, frame) for m, frame in zip(_mask_each(mask, frames), frames, strict=True)]
    elif box is not None:
        found = [_from_box(b, frame) for b, frame in zip(boxes(box, len(frames)), frames, strict=True)]
    elif point is not None:
        found = [_from_point(p, frame) for p, frame in zip(points(point, len(frames)), frames, strict=True)]
    else:
        return None
    for k, inside in enumerate(found):
        if not bool(inside.any()):
            raise BadOption(f"The part of picture {k} that was named lies outside of what the model sees of it.")
    return torch.stack(found)


def _mask_each(mask: Any, frames: Sequence[Frame]) -> list[Tensor]:
    listed = list(mask) if isinstance(mask, list | tuple) else None
    rows = [torch.as_tensor(m) for m in (listed if listed is not None else [mask])]
    if listed is None and rows[0].ndim == 3:
        rows = list(rows[0])
    rows = rows * len(frames) if len(rows) == 1 else rows
    if len(rows) != len(frames):
        raise BadOption(f"Expected one mask or {len(frames)} (one per picture), got {len(rows)}.")
    for row, frame in zip(rows, frames, strict=True):
        if tuple(row.shape) != tuple(frame.picture) or row.is_floating_point():
            raise BadOption(
                f"Expected a mask of truth values with the picture's {frame.picture[0]} rows and {frame.picture[1]} "
                f"columns, got {list(row.shape)} of {row.dtype}."
            )
    return [row.cpu() != 0 for row in rows]


def _from_mask(mask: Tensor, frame: Frame) -> Tensor:
    """What lies under the centre of each pixel of the input."""
    rows, columns = _centres(frame)
    inside = _within(rows, mask.shape[0])[:, None] & _within(columns, mask.shape[1])
    row, column = (t.floor().long().clamp(0, n - 1) for t, n in zip((rows, columns), mask.shape, strict=True))
    return mask[row][:, column] & inside


def _from_box(box: Box, frame: Frame) -> Tensor:
    rows, columns = _centres(frame)
    inside = ((rows >= box[1]) & (rows < box[3]))[:, None] & ((columns >= box[0]) & (columns < box[2]))
    return inside if bool(inside.any()) else _from_point(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), frame)


def _from_point(point: tuple[float, float], frame: Frame) -> Tensor:
    left, top, _, _ = frame.into((point[0], point[1], point[0], point[1]))
    inside = torch.zeros(frame.size, dtype=torch.bool)
    if 0 <= left < frame.size[1] and 0 <= top < frame.size[0]:
        inside[int(top), int(left)] = True
    return inside


def _centres(frame: Frame) -> tuple[Tensor, Tensor]:
    """The centres of the input's rows and columns, in pixels of the picture."""
    left, top, right, bottom = frame.box
    rows = top + (torch.arange(frame.size[0], dtype=torch.float64) + 0.5) * ((bottom - top) / frame.size[0])
    columns = left + (torch.arange(frame.size[1], dtype=torch.float64) + 0.5) * ((right - left) / frame.size[1])
    return rows, columns


def _within(positions: Tensor, end: int) -> Tensor:
    return (positions >= 0) & (positions < end)
