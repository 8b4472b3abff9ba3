"""From a picture to the model's input, remembering which part of the picture the model sees."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pellucid.contracts import Picture, Preprocess
from pellucid.errors import BadOption, BadPicture, unknown
from pellucid.pictures.decode import Source, allowed_pixels, decode
from pellucid.pictures.transforms import applied, part_shown

Box = tuple[float, float, float, float]

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


def prepare(
    source: Source, preprocess: Preprocess, name: str | None = None, *, max_pixels: int | None = None
) -> Picture:
    """Decode a picture, resize it, cut out its centre and normalise it, with the rounding of torchvision and timm.

    Where the resized picture would not cover the crop, it is resized larger instead of being padded.

    Args:
        source: see `decode`.
        preprocess: the model's; with one mean the picture becomes grey.
        name: text for people; default: the file's or sample's name.
        max_pixels: limit on the source's pixels, and on those of the resized picture; None: `allowed_pixels`.

    Returns:
        The picture; `box` is exact, in pixels of the upright original, and may lie between two pixels. Of a function of
        the user's own it is measured; where that fails, the picture is the model's input itself, and a note says so.

    Raises:
        BadPicture: the source is no usable picture, or so narrow that resizing it would need too many pixels.
        BadOption: the preprocessing asks for other than one or three channels, or for an unknown interpolation, or it
            is a function that fails.
    """
    _check(preprocess)
    called, most = name or _name(source), max_pixels or allowed_pixels()
    image, notes = decode(source, max_pixels=most, name=name, check=lambda size: _plan(size, preprocess, called, most))
    if preprocess.transform is not None:
        return _by_function(image, preprocess, preprocess.transform, called, notes)
    if preprocess.channels == 1:
        image = image.convert("L")
    name = called
    size, box = _plan(image.size, preprocess, name, most)
    shown = image.resize(size, _FILTERS[preprocess.interpolation]) if size != image.size else image
    rows, columns = preprocess.size or (size[1], size[0])
    shown = shown.crop(cut(shown.size, rows, columns))
    if box[2] - box[0] < columns or box[3] - box[1] < rows:
        notes = (*notes, f"enlarged from {box[2] - box[0]:.0f} x {box[3] - box[1]:.0f} to {columns} x {rows} pixels")
    return Picture(name, image, _normalise(shown, preprocess), box, notes)


def _by_function(
    image: Image.Image, preprocess: Preprocess, transform: Callable[..., Any], name: str, notes: tuple[str, ...]
) -> Picture:
    """What the user's own function makes of a picture; where it puts its pixels is measured."""
    tensor = applied(transform, image)
    if len(tensor) != preprocess.channels:
        raise BadOption(f"The function given as preprocess gave {len(tensor)} channels, not {preprocess.channels}.")
    box = part_shown(preprocess, image.size)
    if box is not None:
        return Picture(name, image, tensor, box, notes)
    rows, columns = tensor.shape[1:]
    seen = _denormalised(tensor, preprocess)
    return Picture(name, seen, tensor, (0.0, 0.0, float(columns), float(rows)), (*notes, _UNPLACED))


_UNPLACED = (
    "where the function given as preprocess puts each pixel of this picture is unknown, so it is shown as the model "
    "sees it"
)


def _denormalised(tensor: Tensor, preprocess: Preprocess) -> Image.Image:
    """The model's input as a picture of the same size."""
    pixels = preprocess.denormalise(tensor).clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))


def _plan(size: tuple[int, int], preprocess: Preprocess, name: str, max_pixels: int) -> tuple[tuple[int, int], Box]:
    """Width and height to resize to, and the crop's region in original pixels."""
    width, height = size
    if preprocess.resize is None:
        rows, columns = preprocess.size or (height, width)
        return (columns, rows), (0.0, 0.0, float(width), float(height))
    rows, columns = preprocess.size or (1, 1)
    short = min(width, height)
    target = max(preprocess.resize, -(-rows * short // height), -(-columns * short // width))
    wide, high = int(target * width / short), int(target * height / short)
    if wide * high > max(max_pixels, 4 * rows * columns):
        raise BadPicture(
            f"{name!r} is too narrow: {width:,} x {height:,} pixels would become {wide:,} x {high:,}. Crop it first."
        )
    if preprocess.size is None:
        return (wide, high), (0.0, 0.0, float(width), float(height))
    left, top = round((wide - columns) / 2), round((high - rows) / 2)
    across, down = width / wide, height / high
    return (wide, high), (left * across, top * down, (left + columns) * across, (top + rows) * down)


def cut(size: tuple[int, int], rows: int, columns: int) -> tuple[int, int, int, int]:
    """The central crop of a resized picture of so many columns and rows: left, top, right, bottom."""
    left, top = round((size[0] - columns) / 2), round((size[1] - rows) / 2)
    return left, top, left + columns, top + rows


def resized(source: Source, preprocess: Preprocess) -> Image.Image:
    """A picture as `prepare` resizes it, before the central crop; grey for one mean."""
    image, _ = decode(source)
    image = image.convert("L") if preprocess.channels == 1 else image
    size, _ = _plan(image.size, preprocess, _name(source), allowed_pixels())
    return image.resize(size, _FILTERS[preprocess.interpolation]) if size != image.size else image


def _normalise(image: Image.Image, preprocess: Preprocess) -> Tensor:
    pixels = np.atleast_3d(np.array(image))
    unit = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
    return unit.sub_(mean).div_(std)


def _check(preprocess: Preprocess) -> None:
    mean, std = preprocess.mean, preprocess.std
    if len(mean) not in (1, 3) or len(mean) != len(std):
        raise BadOption(
            f"Pictures have three channels or, for grey models, one; the preprocessing has {len(mean)} means and "
            f"{len(std)} standard deviations. Pass tensors to a model with other inputs."
        )
    if preprocess.interpolation not in _FILTERS:
        raise unknown("interpolation", preprocess.interpolation, _FILTERS, f"Choose from: {', '.join(_FILTERS)}.")


def _name(source: Source) -> str:
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        return text.removeprefix("sample:") if text.startswith("sample:") else Path(text).name
    return "picture"
