"""Numbers shared by many methods: axes, resizing, stable means."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.types import Map, Maps

CHANNEL = 1
SPACE = (2, 3)


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize `[batch, row, column]` or `[batch, channel, row, column]` bilinearly with half-pixel centres.

    The convention of the Grad-CAM paper's figures and of `align_corners=False`: the value of a cell sits at its
    middle. Box metrics depend on it (corner alignment shifts a 7 x 7 map by up to half a cell).
    """
    if maps.shape[-2:] == size:
        return maps
    maps_4d = maps if maps.ndim == 4 else maps[:, None]
    resized = F.interpolate(maps_4d, size=size, mode="bilinear", align_corners=False)
    return resized if maps.ndim == 4 else resized[:, 0]


def resize_picture(pictures: Maps, size: tuple[int, int]) -> Maps:
    """Resize `[batch, channel, row, column]` as pictures are: bicubic, half-pixel centres, smoothed to shrink."""
    if pictures.shape[-2:] == size:
        return pictures
    return F.interpolate(pictures, size=size, mode="bicubic", align_corners=False, antialias=True)


def crops(pictures: Maps, samples: Tensor, corners: Tensor | None, size: tuple[int, int]) -> Maps:
    """Copies of parts of equal size: `[n, channel, height, width]` from `[batch, channel, row, column]`."""
    if corners is None:
        return pictures[samples]
    windows = pictures.unfold(2, size[0], 1).unfold(3, size[1], 1)
    return windows[samples, :, corners[:, 0], corners[:, 1]]


def max_abs(maps: Maps) -> Map:
    """Largest absolute value over the channels, `[batch, row, column]`, never negative (Simonyan et al. 2013)."""
    return maps.abs().amax(CHANNEL)


def product(first: Tensor, second: Tensor) -> Tensor:
    """Batched matrix product in the tensors' own type, also where the caller's autocast would lower it."""
    with torch.autocast(first.device.type, enabled=False):
        return first @ second


def rescaled_map(part: Maps, size: tuple[int, int]) -> Map:
    """|part| stretched to 0..1 for each sample, summed over channels and resized: how FullGrad draws its parts."""
    extent = part.abs()
    flat = extent.flatten(1)
    low, high = (t[:, None, None, None] for t in (flat.amin(1), flat.amax(1)))
    return resize(safe_divide(extent - low, (high - low).expand_as(extent)).sum(CHANNEL), size)


def full_precision(tensor: Tensor) -> Tensor:
    """Half-precision tensors as float32, all others unchanged: means and products of maps need the digits."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def safe_divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient that is 0 where the denominator is 0, so that "no evidence" stays no evidence."""
    zero = denominator == 0
    return torch.where(zero, torch.zeros_like(numerator), numerator / denominator.masked_fill(zero, 1))
