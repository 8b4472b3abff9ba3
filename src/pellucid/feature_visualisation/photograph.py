"""Photographs as the network would see them, and the sizes that they are seen in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pellucid.contracts import Preprocess
from pellucid.errors import BadOption
from pellucid.pictures import prepare


def sized(preprocess: Preprocess, sides: tuple[int, ...]) -> Preprocess:
    """The same for another size: as much as fits is cropped, or the whole squeezed, as it was.

    A function of the user's own knows one size only: for others its values are taken, and the whole is squeezed.
    """
    return replace(preprocess, size=(sides[0], sides[1]), resize=preprocess.resize and min(sides), transform=None)


def sized_for(preprocess: Preprocess, size: int | tuple[int, int] | None) -> tuple[Preprocess, tuple[int, int]]:
    """How pictures of a size become the network's input, and its rows and columns; None is the model's own.

    Raises:
        BadOption: the size is missing or cannot be.
    """
    size = preprocess.size if size is None else size
    if size is None:
        raise BadOption("The model takes pictures of any shape. Say which one to draw: size=224.")
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 8:
        raise BadOption(f"Expected a size of 8 pixels at least, got {size}.")
    return sized(preprocess, sides), (sides[0], sides[1])


def name_of(picture: Any) -> str:
    """A photograph as objectives name it, which are written as text.

    Raises:
        BadOption: it has no name.
    """
    if not isinstance(picture, str | Path):
        raise BadOption(
            f"Expected a path or sample:NAME for the photograph, got {type(picture).__name__}. Save it first."
        )
    return str(picture)


def photograph(source: Any, preprocess: Preprocess) -> Tensor:
    """A picture as the network would see it, before normalisation: `[1, channel, row, column]`, 0 to 1."""
    return preprocess.denormalise(prepare(source, preprocess).tensor).clamp(0, 1)[None]
