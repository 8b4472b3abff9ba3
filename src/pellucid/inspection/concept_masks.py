"""Masks of concepts: where a file, an image or an array says that something is, upright as its picture."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pellucid.errors import BadOption
from pellucid.numerics import Mask
from pellucid.pictures.canvas import swapped, turned_mask
from pellucid.pictures.decode import load


def covered(given: Any) -> Mask:
    """Where a mask is not black, `[row, column]`; where it is black all over, where it is not transparent.

    Raises:
        BadPicture: a file that is no picture.
        BadOption: an array of another shape.
    """
    if isinstance(given, str | os.PathLike):
        given = load(given)
    if isinstance(given, Image.Image):
        return _of_image(ImageOps.exif_transpose(given))
    array = np.asarray(given)
    if array.ndim != 2:
        raise BadOption(f"Expected a mask [row, column], got the shape {list(array.shape)}.")
    return np.asarray(array != 0)


def upright(mask: Mask, shown: tuple[int, int], turn: int, what: str) -> Mask:
    """A mask as its picture is shown: turned with it where it was drawn on the picture as it is stored.

    Args:
        mask: `[row, column]`.
        shown: columns and rows of the picture, upright.
        turn: EXIF orientation that its file is stored with.
        what: the mask, for messages.

    Raises:
        BadOption: it is of another size, or how it was drawn cannot be told.
    """
    size = (mask.shape[1], mask.shape[0])
    as_shown, as_stored = size == shown, turn != 1 and swapped(size, turn) == shown
    if as_shown and as_stored:
        raise BadOption(
            f"The picture of the mask of {what} is stored turned or mirrored (EXIF orientation {turn}): whether the "
            "mask was drawn upright or as the picture is stored cannot be told. Save both upright, without that mark."
        )
    if as_stored:
        return turned_mask(mask, turn)
    if not as_shown:
        wanted = f"{shown[1]} x {shown[0]}"
        raise BadOption(f"The mask of {what} is {mask.shape}, not rows x columns {wanted}.")
    return mask


def _of_image(image: Image.Image) -> Mask:
    if image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16"):
        return np.asarray(np.asarray(image) != 0)
    if not image.has_transparency_data:
        return np.asarray(np.asarray(image.convert("RGB")).any(-1))
    values = np.asarray(image.convert("RGBA"))
    colour, opaque = np.asarray(values[..., :3].any(-1)), values[..., 3] > 0
    return np.asarray(colour & opaque if colour[opaque].any() else opaque)
