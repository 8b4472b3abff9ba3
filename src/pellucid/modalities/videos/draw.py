"""A video as a picture: a strip of frames with the map over them, and how much evidence each frame holds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pellucid.contracts import Sample
from pellucid.modalities.painting import evenly, grey, levels, painted
from pellucid.modalities.videos.read import STATISTICS
from pellucid.pictures import ColourScale, scale, sheet
from pellucid.pictures.colour import as_array

_FRAMES, _CELL, _COLUMNS = 12, 240, 6
_INK, _SOFT, _CURVE = (32, 33, 36), (110, 114, 120), 120


def draw(sample: Sample, values: Tensor) -> Image.Image:
    """Up to 12 frames, evenly spaced, all on one scale, and the sum of each frame's map as a curve.

    Args:
        sample: the video.
        values: `[frame, row, column]`, the signed map.
    """
    chosen = evenly(sample.tensor.shape[1], _FRAMES)
    frames = frames_of(sample, as_array(values), chosen, _CELL)
    titled = [(image, said(sample, k)) for image, k in zip(frames, chosen, strict=True)]
    strip = sheet(titled, columns=_COLUMNS, cell=_CELL)
    page = Image.new("RGB", (strip.width, strip.height + _CURVE + 60), "white")
    page.paste(strip)
    _curve(
        ImageDraw.Draw(page), sample, importance(as_array(values)), (70, strip.height + 14, strip.width - 90, _CURVE)
    )
    return page


def frames_of(
    sample: Sample, values: NDArray[np.float64], chosen: Sequence[int], longest: int, colours: ColourScale | None = None
) -> list[Image.Image]:
    """Frames with their maps over them, in the order chosen, the longer side of so many pixels."""
    ground, colours = shown(sample), colours or scale(torch.from_numpy(values))
    factor = longest / max(ground.shape[1:3])
    size = tuple(max(1, round(side * factor)) for side in ground.shape[1:3])
    return [painted(ground[k], values[k], colours, (size[0], size[1])) for k in chosen]


def shown(sample: Sample) -> NDArray[np.float64]:
    """Frames as they are seen, 0 to 1, `[frame, row, column, 3]`, or without the last axis if they have one channel."""
    numbers = as_array(sample.tensor)
    if name := sample.geometry.get("normalise"):
        mean, std = (np.array(each)[:, None, None, None] for each in STATISTICS[name])
        numbers = numbers * std + mean
    elif not sample.channels:  # a tensor in the network's own space
        numbers = grey(numbers, levels(numbers))
    return np.moveaxis(numbers, 0, 3) if len(numbers) == 3 else numbers[0]


def importance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of each frame's map, `[frame]`."""
    return np.asarray(values.sum((1, 2)))


def timed(sample: Sample) -> bool:
    """Whether it says when its frames are seen."""
    return bool(sample.geometry.get("seconds"))


def times(sample: Sample) -> list[float]:
    """When its frames are seen, in seconds, or their numbers."""
    found = sample.geometry.get("times")
    return [float(x) for x in (range(sample.tensor.shape[1]) if found is None else found)]


def said(sample: Sample, frame: int) -> str:
    """A frame by its number and time."""
    return f"{frame}: {times(sample)[frame]:.2f} s" if timed(sample) else f"frame {frame}"


def _curve(pen: ImageDraw.ImageDraw, sample: Sample, sums: NDArray[np.float64], box: tuple[int, int, int, int]) -> None:
    left, top, wide, high = box
    font = ImageFont.load_default(size=13)
    x, y = placed(times(sample), np.nan_to_num(sums))
    points = [(left + wide * a, top + high * b) for a, b in zip(x, y, strict=True)]
    zero = top + high * zero_of(np.nan_to_num(sums))
    pen.line([(left, zero), (left + wide, zero)], fill=(226, 224, 218))
    for one, other in pairwise(points):
        pen.line([one, other], fill=(0, 114, 178), width=3)
    for a, b in points if len(points) <= 64 else ():
        pen.ellipse([a - 4, b - 4, a + 4, b + 4], fill=(0, 114, 178))
    pen.text((left, top + high + 12), f"{times(sample)[0]:g}", fill=_SOFT, font=font, anchor="la")
    end = f"{times(sample)[-1]:.3g} {'s' if timed(sample) else ''}"
    pen.text((left + wide, top + high + 12), end, fill=_SOFT, font=font, anchor="ra")
    pen.text((left + wide / 2, top + high + 12), "sum of the map, frame by frame", fill=_INK, font=font, anchor="ma")
    for value, place in ((sums.max(), y.min()), (0.0, zero_of(np.nan_to_num(sums)))):
        pen.text((left - 8, top + high * place), f"{value:.3g}", fill=_SOFT, font=font, anchor="rm")


def placed(at: Sequence[float], sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places of a curve's points in a box of 1 x 1, from the left and from the top; 0 is always in it."""
    low, high = min(0.0, float(sums.min())), max(0.0, float(sums.max()))
    first, last = at[0], at[-1]
    x = np.full(len(at), 0.5) if last == first else (np.array(at) - first) / (last - first)
    return x, np.full(len(at), 0.5) if high == low else (high - sums) / (high - low)


def zero_of(sums: NDArray[np.float64]) -> float:
    """Where 0 lies in that box, from the top."""
    low, high = min(0.0, float(sums.min())), max(0.0, float(sums.max()))
    return 0.5 if high == low else high / (high - low)
