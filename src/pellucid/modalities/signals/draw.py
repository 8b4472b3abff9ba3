"""A signal as a picture: each channel's line in a row of its own, the ground coloured by the map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from pellucid.contracts import Sample
from pellucid.modalities.colours import AGAINST, FOR, INK, LINE, SOFT, STRONGEST
from pellucid.modalities.signals.scales import envelope, strongest, ticks, time_of
from pellucid.pictures import scale
from pellucid.pictures.colour import as_array

_WIDTH, _LEFT, _TOP, _BOTTOM = 1200, 70, 12, 34


def draw(sample: Sample, values: Tensor) -> Image.Image:
    """The lines over the map.

    Args:
        sample: the signal.
        values: `[time]`, the signed map.

    Returns:
        RGB, 1200 pixels wide. Red is evidence in favour, blue against; where several samples share a column of pixels
        the strongest of them colours it, and the line shows the whole range of theirs.
    """
    lines = as_array(sample.tensor)
    row = 190 if len(lines) == 1 else 120 if len(lines) < 8 else 64
    wide, high = _WIDTH - _LEFT - 12, row * len(lines)
    image = Image.new("RGB", (_WIDTH, _TOP + high + _BOTTOM), "white")
    image.paste(
        Image.fromarray(ground(as_array(values), scale(values).place(as_array(values)), wide, high)), (_LEFT, _TOP)
    )
    pen = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        top = _TOP + number * row
        _draw_line(pen, line, (_LEFT, top + 6, wide, row - 12))
        pen.line([(_LEFT, top + row), (_LEFT + wide, top + row)], fill=LINE)
        name = sample.channels[number] if number < len(sample.channels) else str(number) if len(lines) > 1 else ""
        pen.text((8, top + row // 2 - 6), name[:10], fill=INK)
    _draw_axis(pen, sample, wide, _TOP + high)
    return image


def ground(values: NDArray[np.float64], places: NDArray[np.float64], wide: int, high: int) -> NDArray[np.uint8]:
    """Colours of the ground, uint8 `[high, wide, 3]`; values that are not finite are green."""
    chosen = strongest(np.where(np.isfinite(values), places, 0.0), wide)
    share = (np.abs(chosen) * STRONGEST)[:, None]
    colour = np.where(chosen[:, None] > 0, np.array(FOR), np.array(AGAINST))
    found = 255 * (1 - share) + colour * share
    broken = strongest((~np.isfinite(values)).astype(float), wide) > 0
    found[broken] = (0, 200, 120)
    return np.broadcast_to(found.round().astype(np.uint8), (high, wide, 3)).copy()


def _draw_line(pen: ImageDraw.ImageDraw, line: NDArray[np.float64], box: tuple[int, int, int, int]) -> None:
    """One channel, from its lowest to its highest value; a constant one in the middle."""
    left, top, wide, high = box
    x, low, above = envelope(line, wide)
    bottom, span = float(line.min()), float(line.max() - line.min())
    share = (np.stack([low, above], 1) - bottom) / span if span else np.full((len(x), 2), 0.5)
    points = [(left + wide * a, top + high * (1 - y)) for a, both in zip(x, share, strict=True) for y in both]
    pen.line(points if len(points) > 1 else points * 2, fill=INK, width=2)


def _draw_axis(pen: ImageDraw.ImageDraw, sample: Sample, wide: int, y: int) -> None:
    """Seconds, or numbers of samples where the rate is not known."""
    length, unit = time_of(sample)
    for tick, text in ticks(0.0, length):
        x = _LEFT + wide * tick / length
        pen.line([(x, y), (x, y + 5)], fill=SOFT)
        first = tick == 0.0
        pen.text((x, y + 8), f"{text} {unit}" if first else text, fill=SOFT, anchor="la" if first else "ma")
