"""Pictures with a thing whose place is known exactly: cut-outs pasted on photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.errors import BadOption
from pellucid.seeds import TORCH, seed_below

_OPAQUE = 128


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and what is known about it.

    Attributes:
        name: for people.
        image: RGB.
        mask: bool `[row, column]`, True where the thing is.
        labels: numbers of the classes that are right answers.
    """

    name: str
    image: Image.Image
    mask: NDArray[np.bool_]
    labels: tuple[int, ...]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the thing in pixels; the last two are exclusive."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def part_of(photograph: Image.Image, size: tuple[int, int], rng: np.random.Generator, *, zoom: float = 1.0) -> (
    Image.Image
):  # fmt: skip
    """A random part of a photograph, resized.

    Args:
        photograph: RGB.
        size: width and height wanted.
        rng: says which part.
        zoom: 1 takes the largest part of that shape that there is, 0.5 one of half its sides.
    """
    width, height = size
    largest = min(photograph.width / width, photograph.height / height) * zoom
    wide, high = width * largest, height * largest
    left, top = rng.uniform(0, photograph.width - wide), rng.uniform(0, photograph.height - high)
    return photograph.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + wide, top + high))


def pasted(
    cutout: Image.Image, background: Image.Image, share: float, rng: np.random.Generator
) -> tuple[Image.Image, NDArray[np.bool_]]:
    """A cut-out at a random place of a picture, wholly inside of it, and its mask.

    Args:
        cutout: RGBA; its transparent margin does not count.
        background: RGB.
        share: its longer side as a share of the background's shorter side, at most 1.
        rng: says where.

    Raises:
        BadOption: the cut-out has no opaque pixel.
    """
    opaque = cutout.getchannel("A").point([255 * (level >= _OPAQUE) for level in range(256)]).getbbox()
    if opaque is None:
        raise BadOption("The cut-out has no opaque pixel, so it would not be seen.")
    thing = cutout.crop(opaque)
    factor = share * min(background.size) / max(thing.size)
    shrunk = max(1, round(thing.width * factor)), max(1, round(thing.height * factor))
    thing = thing.resize(shrunk, Image.Resampling.LANCZOS)
    left = int(rng.integers(0, background.width - thing.width + 1))
    top = int(rng.integers(0, background.height - thing.height + 1))
    image = background.convert("RGB").copy()
    image.paste(thing.convert("RGB"), (left, top), thing.getchannel("A"))
    mask = np.zeros((image.height, image.width), bool)
    alpha = np.asarray(thing.getchannel("A")) >= _OPAQUE
    mask[top : top + thing.height, left : left + thing.width] = alpha
    return image, mask


def scenes(
    things: Sequence[tuple[str, Callable[[], Image.Image], tuple[int, ...]]],
    photographs: Sequence[Image.Image],
    *,
    size: tuple[int, int],
    share: tuple[float, float],
    zoom: tuple[float, float] = (1.0, 1.0),
    seed: int = 0,
) -> list[Scene]:
    """One scene for each thing.

    Args:
        things: name, what opens its cut-out, and the classes that are right.
        photographs: backgrounds, drawn at random.
        size: width and height of the scenes in pixels.
        share: least and largest share of the shorter side that a thing's longer side takes.
        zoom: least and largest part of a photograph's sides that is shown.
        seed: of everything that is drawn; scene i does not depend on how many there are.
    """
    made = []
    for number, (name, opened, labels) in enumerate(things):
        rng = np.random.default_rng([seed_below(TORCH, seed), number])
        photograph = photographs[int(rng.integers(len(photographs)))]
        background = part_of(photograph, size, rng, zoom=float(rng.uniform(*zoom)))
        image, mask = pasted(opened(), background, float(rng.uniform(*share)), rng)
        made.append(Scene(name, image, mask, labels))
    return made
