"""Every pixel format becomes RGB with 8 bits, without clipping and without silent changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.errors import BadPicture

_AT_ONCE = 2**20
"""Pixels that are converted together."""


def to_rgb(image: Image.Image, label: str, *, own: bool = False) -> tuple[Image.Image, tuple[str, ...]]:
    """A new 8-bit RGB image, free of metadata, and notes on what was changed.

    16-bit grey is scaled by 257 (65535 becomes 255); transparent parts are shown on white; CMYK is converted without
    a colour profile.

    Args:
        image: loaded, in any mode.
        label: how the picture is called in messages.
        own: it may be handed back itself, without its metadata, if it is RGB already.

    Raises:
        BadPicture: the pixels are float or outside the 16-bit range, or the colour mode has no way to RGB.
    """
    if image.mode == "F":
        raise BadPicture(f"{label} has float pixels, whose range is unknown. Save it with 8 or 16 bits per channel.")
    notes: tuple[str, ...] = ()
    try:
        if image.mode == "I" or image.mode.startswith("I;16"):
            rgb, notes = _from_sixteen_bits(image, label), ("16-bit grey reduced to 8 bits",)
        elif image.has_transparency_data:
            rgb, notes = _on_white(image)
        else:
            rgb = image if own and image.mode == "RGB" else image.convert("RGB")
    except (ValueError, KeyError) as error:
        if isinstance(error, BadPicture):
            raise
        raise BadPicture(
            f"{label} has the colour mode {image.mode}, which does not convert. Save it as RGB."
        ) from error
    rgb.info = {}
    return rgb, notes


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Parts of whole rows with where they begin, so that no step needs a second picture of another kind."""
    rows = max(1, _AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _from_sixteen_bits(image: Image.Image, label: str) -> Image.Image:
    # Pillow's own conversion of 16-bit grey to RGB clips everything above 255 to white.
    if image.mode == "I":
        ends = [_ends(np.asarray(strip)) for _, strip in _strips(image)]
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        if low < 0 or high > 65535:
            raise BadPicture(
                f"{label} has 32-bit pixels from {low} to {high}; expected 0 to 65535. "
                "Save it with 8 or 16 bits per channel."
            )
    rgb = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        values = np.asarray(strip).astype(np.int32)
        rgb.paste(Image.fromarray(((values + 128) // 257).astype(np.uint8)), (0, top))
    return rgb


def _ends(values: NDArray[np.int32]) -> tuple[int, int]:
    return int(values.min()), int(values.max())


def _on_white(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    rgb, opaque = Image.new("RGB", image.size), True
    for top, strip in _strips(image):
        rgba = strip.convert("RGBA")
        opaque = opaque and rgba.getchannel("A").getextrema() == (255, 255)
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        white.alpha_composite(rgba)
        rgb.paste(white.convert("RGB"), (0, top))
    return rgb, () if opaque else ("transparent parts shown on white",)
