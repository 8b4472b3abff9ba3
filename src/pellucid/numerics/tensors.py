"""Numbers shared by many methods: axes, resizing, stable means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.contracts import Canvas, Map, Maps

CHANNEL = 1
SPACE = (2, 3)
_RELATIVE, _ROUNDINGS, _LEAST = 1e-6, 64, 1e-12
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
"""What torch calls linear interpolation along so many axes."""


def places(maps: Tensor) -> tuple[int, ...]:
    """The numbers of all axes after the channel, however many they are."""
    return tuple(range(CHANNEL + 1, maps.ndim))


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """Numbers `[n]` shaped to stand beside the rows of `like`, `[n, ...]`."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize `[batch, *axes]` or `[batch, channel, *axes]` linearly along one to three axes, with half-pixel centres.

    The convention of the Grad-CAM paper's figures and of `align_corners=False`: the value of a cell sits at its
    middle. Box metrics depend on it (corner alignment shifts a 7 x 7 map by up to half a cell).
    """
    if maps.shape[-len(size) :] == torch.Size(size):
        return maps
    has_channels = maps.ndim == len(size) + 2
    resized = F.interpolate(
        maps if has_channels else maps[:, None], size=tuple(size), mode=_LINEAR[len(size)], align_corners=False
    )
    return resized if has_channels else resized[:, 0]


def along_axes(maps: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Each of the last axes multiplied by a matrix of its own: `[..., *axes]` becomes `[..., *lengths]`.

    Args:
        maps: `[..., *axes]`.
        matrices: for each of these axes `[length, axis]`, or with what stands before the axes in front of it.
    """
    first = maps.ndim - len(matrices)
    for number, matrix in enumerate(matrices[:-1]):
        moved = maps.movedim(first + number, first)
        done = product(matrix, moved.flatten(first + 1))
        maps = done.reshape(*done.shape[:-1], *moved.shape[first + 1 :]).movedim(first, first + number)
    rows = product(maps.reshape(*maps.shape[:first], -1, maps.shape[-1]), matrices[-1].mT)
    return rows.reshape(*rows.shape[:first], *maps.shape[first:-1], rows.shape[-1])


def onto_picture(maps: Tensor, size: tuple[int, ...], canvas: Canvas) -> Tensor:
    """Maps of a layer, resized as in `resize`, where they lie on a picture of so many rows and columns.

    Args:
        maps: `[batch, row, column]` or `[batch, channel, row, column]`, over the whole canvas.
        size: of the picture.
        canvas: what the layer sees; the picture lies in its upper left corner.
    """
    if canvas.part == canvas.size:
        return resize(maps, size)
    ends = (part / whole for part, whole in zip(canvas.part, canvas.size, strict=True))
    centres = ((torch.arange(n, dtype=torch.float64) + 0.5) / n for n in size)
    rows, columns = ((2 * centre * end - 1).to(maps) for centre, end in zip(centres, ends, strict=True))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    where = torch.stack([x, y], -1).expand(len(maps), -1, -1, -1)
    maps_4d = maps if maps.ndim == 4 else maps[:, None]
    read = F.grid_sample(maps_4d, where, mode="bilinear", padding_mode="border", align_corners=False)
    return read if maps.ndim == 4 else read[:, 0]


def resize_picture(pictures: Maps, size: tuple[int, int]) -> Maps:
    """Resize `[batch, channel, row, column]` as pictures are: bicubic, half-pixel centres, smoothed to shrink."""
    if pictures.shape[-2:] == size:
        return pictures
    return F.interpolate(pictures, size=size, mode="bicubic", align_corners=False, antialias=True)


def crops(pictures: Maps, samples: Tensor, corners: Tensor | None, size: Sequence[int]) -> Maps:
    """Copies of parts of equal size: `[n, channel, *size]` from `[batch, channel, *axes]`, at `corners` `[n, axis]`."""
    if corners is None:
        return pictures[samples]
    windows = pictures
    for axis, length in zip(places(pictures), size, strict=True):
        windows = windows.unfold(axis, length, 1)
    at: tuple[Any, ...] = (samples, slice(None), *corners.unbind(1))
    return windows[at]


def max_abs(maps: Maps) -> Map:
    """Largest absolute value over the channels, `[batch, *axes]`, never negative (Simonyan et al. 2013)."""
    return maps.abs().amax(CHANNEL)


def ranks(values: Tensor) -> Tensor:
    """The place of each value in its row of `[batch, ...]`, from 0 for the largest, ties in reading order; int64."""
    order = values.flatten(1).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view_as(values)


def product(first: Tensor, second: Tensor) -> Tensor:
    """Batched matrix product in the tensors' own type, also where the caller's autocast would lower it."""
    with torch.autocast(first.device.type, enabled=False):
        return first @ second


def rescaled_map(part: Maps, size: tuple[int, ...], canvas: Canvas | None = None) -> Map:
    """|part| stretched to 0..1 for each sample, summed over channels and resized: how FullGrad draws its parts."""
    extent = part.abs()
    flat = extent.flatten(1)
    low, high = (per_row(t, part) for t in (flat.amin(1), flat.amax(1)))
    stretched = safe_divide(extent - low, (high - low).expand_as(extent)).sum(CHANNEL)
    return onto_picture(stretched, size, canvas or Canvas(size, size))


def all_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity.

    Its sum tells, at a tenth of the cost of looking at each number, unless finite numbers overflow in it.
    """
    return math.isfinite(tensor.detach().sum().item()) or bool(tensor.isfinite().all())


def full_precision(tensor: Tensor) -> Tensor:
    """Half-precision tensors as float32, all others unchanged: means and products of maps need the digits."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def safe_divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient that is 0 where the denominator is 0, so that "no evidence" stays no evidence."""
    zero = denominator == 0
    return torch.where(zero, torch.zeros_like(numerator), numerator / denominator.masked_fill(zero, 1))


def tolerance(wanted: Tensor, *scores: Tensor) -> Tensor:
    """How far a sum of parts may be from `wanted` and still be right but for rounding, in its units and shape.

    Half of the digits of the number type (six in float64, where a network's own cancellations eat some more), and a few
    roundings of the scores. The yardstick never is the size of the parts: where these explode and cancel, it would grow
    with the error.

    Args:
        wanted: what the parts must sum to, `[batch]`.
        scores: what it is computed from, each `[batch]`.
    """
    eps = torch.finfo(wanted.dtype).eps
    size = sum((score.abs() for score in scores), torch.zeros_like(wanted))
    allowed: Tensor = max(eps**0.5, _RELATIVE) * wanted.abs() + max(_ROUNDINGS * eps, _LEAST) * size
    return allowed


def sums_up(parts: Tensor, wanted: Tensor, *scores: Tensor) -> bool:
    """Whether parts `[batch, ...]` sum to `wanted` within the `tolerance`, in every row; not if any is not finite."""
    gap = wanted - parts.flatten(1).sum(1)
    return bool((gap.abs() <= tolerance(wanted, *scores)).all())
