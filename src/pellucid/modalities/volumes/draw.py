"""A volume as a picture: slices with the map over them, side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from pellucid.contracts import Sample
from pellucid.modalities.painting import evenly, grey, levels, painted
from pellucid.modalities.volumes.planes import Plane, best_plane, planes, size_on_paper
from pellucid.pictures import ColourScale, scale, sheet
from pellucid.pictures.colour import as_array

_SLICES, _CELL, _COLUMNS = 20, 240, 5
_LETTER = 3
"""Pixels between a letter and the edge."""


def draw(sample: Sample, values: Tensor) -> Image.Image:
    """A contact sheet: up to 20 slices of the plane that scans are read in, then the map's largest values in all three.

    Args:
        sample: the volume; of several channels the first is the ground.
        values: `[depth, row, column]`, the signed map. All slices share one scale.
    """
    ground, numbers = as_array(sample.tensor[0]), as_array(values)
    ends, colours, cuts = levels(ground), scale(values), planes(sample)
    plane = best_plane(sample, cuts)
    count = ground.shape[plane.axis]
    size = _pixels(sample, plane)
    cells = [
        (painted(grey(plane.cut(ground, k), ends), plane.cut(numbers, k), colours, size), f"{plane.title} {k}")
        for k in evenly(count, _SLICES)
    ]
    pages = [sheet([(_lettered(image, plane), title) for image, title in cells], columns=_COLUMNS, cell=_CELL)]
    pages.append(sheet([_projection(sample, each, ground, numbers, ends, colours) for each in cuts], cell=_CELL))
    return _below(pages)


def _projection(
    sample: Sample,
    plane: Plane,
    ground: NDArray[np.float64],
    numbers: NDArray[np.float64],
    ends: tuple[float, float],
    colours: ColourScale,
) -> tuple[Image.Image, str]:
    """The largest values along a plane's axis, over those of the volume."""
    below = plane.turned(grey(ground.max(plane.axis), ends))
    image = painted(below, plane.turned(strongest(numbers, plane.axis)), colours, _pixels(sample, plane))
    return _lettered(image, plane), f"largest, {plane.title}"


def strongest(numbers: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """The value of largest size along an axis, with its sign; values that are not finite win."""
    where = np.abs(np.nan_to_num(numbers, nan=np.inf)).argmax(axis)
    return np.take_along_axis(numbers, np.expand_dims(where, axis), axis).squeeze(axis)


def _pixels(sample: Sample, plane: Plane) -> tuple[int, int]:
    """Rows and columns of a slice in pixels, in the proportions of the body."""
    high, wide = size_on_paper(sample, plane)
    factor = _CELL / max(high, wide)
    return max(1, round(high * factor)), max(1, round(wide * factor))


def _lettered(image: Image.Image, plane: Plane) -> Image.Image:
    """Letters of the sides at the four edges."""
    pen, (wide, high) = ImageDraw.Draw(image), image.size
    if min(wide, high) < 48:
        return image
    places = ((wide / 2, _LETTER, "ma"), (wide / 2, high - _LETTER, "md"),
              (_LETTER, high / 2, "lm"), (wide - _LETTER, high / 2, "rm"))  # fmt: skip
    for letter, (x, y, anchor) in zip(plane.ends, places, strict=True):
        pen.text((x, y), letter, fill=(235, 235, 235), anchor=anchor, stroke_width=1, stroke_fill=(0, 0, 0))
    return image


def _below(pages: list[Image.Image]) -> Image.Image:
    """Pages one below the other."""
    found = Image.new("RGB", (max(page.width for page in pages), sum(page.height for page in pages)), "white")
    top = 0
    for page in pages:
        found.paste(page, (0, top))
        top += page.height
    return found
