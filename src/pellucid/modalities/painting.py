"""Maps over grey or coloured ground, in the colours of pictures: slices of volumes, frames of videos."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pellucid.contracts import Picture
from pellucid.pictures import ColourScale, overlay


def painted(
    ground: NDArray[np.float64], values: NDArray[np.float64], scale: ColourScale, size: tuple[int, int]
) -> Image.Image:
    """A map over the ground that it belongs to.

    Args:
        ground: 0 to 1, `[row, column]`, or `[row, column, 3]` in colour.
        values: `[row, column]`.
        scale: one for all that shall be comparable.
        size: rows and columns of the drawing, in pixels.
    """
    levels = np.ascontiguousarray((np.clip(ground, 0, 1) * 255).round().astype(np.uint8))
    image = Image.fromarray(levels).convert("RGB").resize((size[1], size[0]), Image.Resampling.BICUBIC)
    seen = torch.empty((1, *ground.shape[:2]))
    box = (0.0, 0.0, float(size[1]), float(size[0]))
    return overlay(Picture("", image, seen, box), torch.from_numpy(values.copy()), scale=scale, style="veil")


def levels(values: NDArray[np.float64]) -> tuple[float, float]:
    """The range that is drawn from black to white: percentiles 0.5 and 99.5, so that single voxels do not set it."""
    low, high = (float(x) for x in np.percentile(values, (0.5, 99.5)))
    return (low, high) if high > low else (float(values.min()), float(values.max()))


def grey(values: NDArray[np.float64], ends: tuple[float, float]) -> NDArray[np.float64]:
    """Numbers as levels from 0 to 1; a constant is middle grey."""
    low, high = ends
    return np.full_like(values, 0.5) if high <= low else np.clip((values - low) / (high - low), 0, 1)


def evenly(count: int, most: int) -> list[int]:
    """At most so many numbers from 0 to `count - 1`, equally far apart, first and last among them."""
    if count <= most:
        return list(range(count))
    return [int(k) for k in np.linspace(0, count - 1, most).round()]
