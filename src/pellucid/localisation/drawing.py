"""What was found, drawn: masks as a tint with an outline, boxes as lines, over the picture at its own size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from pellucid.numerics import Mask
from pellucid.pictures import heat
from pellucid.wording import chance

if TYPE_CHECKING:
    from pellucid.localisation.located import Located

_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
"""Okabe and Ito's colours, which colour-blind people tell apart; the largest part has the first."""
_TINT = 0.35
_DIMMED = 0.55
"""Brightness of what lies outside of everything found."""
_INK = (20, 20, 20)


def draw(located: Located) -> Image.Image:
    """The picture with what was found in it; when nothing was, the picture with a line that says so."""
    picture = located.image or heat(torch.from_numpy(located.values))
    pixels = np.asarray(picture.convert("RGB")).astype(np.float32)
    line = max(1, round(min(picture.size) / 150))
    every = np.zeros(located.size, bool)
    for segment in located.segments:
        every |= segment.mask
    if located.segments:
        pixels[~every] *= _DIMMED
    for number, segment in reversed(list(enumerate(located.segments))):
        _tint(pixels, segment.mask, _COLOURS[number % len(_COLOURS)], line)
    drawn = Image.fromarray(pixels.round().astype(np.uint8))
    pen = ImageDraw.Draw(drawn)
    for number, segment in reversed(list(enumerate(located.segments))):
        left, top, right, bottom = (int(edge) for edge in segment.box)
        pen.rectangle((left, top, right - 1, bottom - 1), outline=_COLOURS[number % len(_COLOURS)], width=line)
    _caption(drawn, pen, located)
    return drawn


def _tint(pixels: NDArray[np.float32], mask: Mask, colour: tuple[int, int, int], line: int) -> None:
    pixels[mask] = (1 - _TINT) * pixels[mask] + _TINT * np.asarray(colour, np.float32)
    padded = np.pad(mask, line)  # so that a mask that ends at the picture's edge is outlined there too
    inner = ndimage.binary_erosion(padded, np.ones((3, 3), bool), iterations=line)[line:-line, line:-line]
    pixels[mask & ~inner] = colour


def _caption(drawn: Image.Image, pen: ImageDraw.ImageDraw, located: Located) -> None:
    sure = "" if located.probability is None else f" {chance(located.probability, 0)}"
    text = f"{located.target}{sure}" if located.segments else f"{located.target}{sure}: nothing found"
    text = "".join(c if c.isprintable() else "?" for c in text)[:80]
    size = max(10, round(min(drawn.size) / 22))
    font = ImageFont.load_default(size=size)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    if right - left + size > drawn.width or bottom - top + size > drawn.height // 2:
        return  # on a tiny picture it would hide what it names
    x, y, paper = size // 3, size // 4, _COLOURS[0] if located.segments else (255, 255, 255)
    pen.rectangle((0, 0, right + 2 * x, bottom + 2 * y), fill=paper)
    pen.text((x, y), text, fill=_INK, font=font)
