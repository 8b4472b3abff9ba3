"""Maps drawn as pictures: pure heat, or evidence over the original photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from pellucid.contracts import Box, Picture
from pellucid.errors import BadOption
from pellucid.pictures import colour
from pellucid.pictures.colour import ColourScale
from pellucid.pictures.geometry import Window, stretch, window

Style = Literal["auto", "veil", "glow"]

_INVALID = (0, 200, 120)  # a green that neither default colour map contains
_CURVE = 0.75  # opacity is this power of the evidence where faint evidence is dark, or it would not be seen
_UNSEEN = 0.32  # brightness of what the model never saw
_GRAIN = 0.15  # see `_grainy`; measured: CAM maps 0.001, occlusion 0.02, gradients 0.4 to 0.55


@dataclass(frozen=True)
class _Look:
    """Brightness of the picture below, opacity of the strongest evidence, and the power of its growth if signed."""

    brightness: float
    strongest: float
    signed_curve: float


_LOOKS = {"veil": _Look(0.85, 0.85, 1.0), "glow": _Look(0.35, 1.0, 0.75)}


_AT_ONCE = 2**20
"""Pixels that are drawn together."""


def overlay(
    picture: Picture,
    values: Tensor,
    *,
    opacity: float = 1.0,
    colour_map: str | None = None,
    scale: ColourScale | None = None,
    style: Style = "auto",
) -> Image.Image:
    """Draw a map over the picture that it explains, at the picture's own size.

    The picture turns grey, so that every colour seen is evidence; opacity follows its size, and where there is none
    the picture shows alone. `veil` keeps the picture bright, for smooth maps; `glow` keeps it dark, which lets the
    single pixels of grainy maps shine. What the model never saw is darker still, with a thin line around what it saw.
    Non-finite values are green.

    Args:
        picture: with the box that the map covers.
        values: `[row, column]`, on any grid that covers the model's input.
        opacity: 0 shows the plain picture in colour inside the box, 1 the full effect.
        colour_map: a name of the `cmap` library; default: `colour.ONE_SIDED` or `colour.SIGNED`.
        scale: default: the map's own; pass a common one to make several pictures comparable.
        style: `auto`: `glow` for maps whose neighbouring pixels disagree, else `veil`.

    Returns:
        RGB image.

    Raises:
        BadOption: the map is not `[row, column]`, or opacity or style is none of the above.
        UnknownName: there is no such colour map.
    """
    if not 0 <= opacity <= 1:
        raise BadOption(f"Expected an opacity between 0 and 1, got {opacity}.")
    if style not in ("auto", "veil", "glow"):
        raise BadOption(f"Expected the style 'auto', 'veil' or 'glow', got {style!r}.")
    scale = _scale(values, scale)
    if style == "auto":
        style = "glow" if _grainy(_placed(values, scale), picture) else "veil"
    seen = window(picture.box)
    base = picture.image if picture.image.mode == "RGB" else picture.image.convert("RGB")
    left, top, right, bottom = seen
    drawn = Image.new("RGB", (right - left, bottom - top))
    rows = max(1, _AT_ONCE // (right - left))
    for first in range(top, bottom, rows):  # in strips: numbers take many times the memory of colours
        strip = (left, first, right, min(first + rows, bottom))
        index = _index(values, scale, picture.box, strip)
        part = _paint(base.crop(strip), index, scale, colour_map, _LOOKS[style], opacity)
        _mark_invalid(part, values, picture.box, strip)
        drawn.paste(part, (0, first - top))
    return _frame(base, drawn, seen)


def heat(
    values: Tensor,
    size: tuple[int, int] | None = None,
    *,
    colour_map: str | None = None,
    scale: ColourScale | None = None,
) -> Image.Image:
    """Draw a map alone; no evidence is black, or nearly, in the default colours.

    Args:
        values: `[row, column]`.
        size: rows and columns of the image in pixels; default: one pixel per value.
        colour_map: as for `overlay`.
        scale: as for `overlay`.

    Raises:
        BadOption: the map is not `[row, column]`.
        UnknownName: there is no such colour map.
    """
    scale = _scale(values, scale)
    rows, columns = size or (values.shape[0], values.shape[1])
    box, pixels = (0.0, 0.0, float(columns), float(rows)), (0, 0, columns, rows)
    drawn = _colours(_index(values, scale, box, pixels), colour.colour_map_for(scale, colour_map))
    _mark_invalid(drawn, values, box, pixels)
    return drawn


def _scale(values: Tensor, given: ColourScale | None) -> ColourScale:
    if values.ndim != 2 or not values.numel():
        raise BadOption(f"Expected a map [row, column], got the shape {list(values.shape)}. Pass one map at a time.")
    return given or colour.scale(values)


def _placed(values: Tensor, scale: ColourScale) -> NDArray[np.float64]:
    # In float64 until the values are near 1: evidence may be far below what float32 holds.
    return scale.place(np.nan_to_num(colour.as_array(values), nan=0.0, posinf=0.0, neginf=0.0))


def _grainy(placed: NDArray[np.float64], picture: Picture) -> bool:
    """Whether neighbouring input pixels differ about as much as any two: 0 for a flat map, 1 for white noise."""
    rows, columns = picture.tensor.shape[-2:]
    shown = np.abs(stretch(placed, (0, 0, columns, rows), (0, 0, columns, rows)))
    spread = 4 * shown.var()
    steps = sum(float(np.square(np.diff(shown, axis=axis)).mean()) for axis in (0, 1) if shown.shape[axis] > 1)
    return bool(spread > 0 and steps / spread > _GRAIN)


def _index(values: Tensor, scale: ColourScale, box: Box, pixels: Window) -> Image.Image:
    """Grey image of colour numbers: 0 to 255, or 128 for zero and 1 to 255 for signed maps."""
    placed = stretch(_placed(values, scale), box, pixels)
    numbers = 128 + 127 * placed if scale.signed else 255 * placed
    return Image.fromarray(np.rint(numbers).astype(np.uint8))


def _colours(index: Image.Image, table: NDArray[np.uint8]) -> Image.Image:
    coloured = index.copy()
    coloured.putpalette(table[:, :3].tobytes())
    return coloured.convert("RGB")


def _paint(
    under: Image.Image, index: Image.Image, scale: ColourScale, colour_map: str | None, look: _Look, opacity: float
) -> Image.Image:
    """Evidence in colour on the picture in grey, so that every colour seen is evidence."""
    numbers = np.arange(256)
    strength = np.minimum(np.abs(numbers - 128) / 127 if scale.signed else numbers / 255, 1.0)
    table, curve = colour.colour_map_for(scale, colour_map), _CURVE
    if scale.signed and colour_map is None:  # the darker colours between would only blacken faint evidence
        table, curve = np.where(numbers[:, None] < 128, table[0], table[255]), look.signed_curve
    alpha = index.point(np.rint(255 * look.strongest * strength**curve).astype(int).tolist())
    painted = Image.composite(_colours(index, table), _grey(under, look.brightness), alpha)
    return Image.blend(under, painted, opacity)


def _grey(image: Image.Image, brightness: float) -> Image.Image:
    return image.convert("L").point([round(brightness * level) for level in range(256)]).convert("RGB")


def _mark_invalid(drawn: Image.Image, values: Tensor, box: Box, pixels: Window) -> None:
    bad = ~np.isfinite(colour.as_array(values))
    if not bad.any():
        return
    touched = stretch(bad, box, pixels) > 0  # also where an invalid value only took part
    drawn.paste(_INVALID, mask=Image.fromarray(touched.astype(np.uint8) * 255))


def _frame(base: Image.Image, drawn: Image.Image, seen: Window) -> Image.Image:
    if seen == (0, 0, *base.size):
        return drawn
    canvas = _grey(base, _UNSEEN)
    line = max(1, round(min(base.size) / 350))
    left, top, right, bottom = seen
    outline = (left - line, top - line, right + line - 1, bottom + line - 1)
    if min(base.size) >= 100:  # on a tiny picture a line would cover what it frames
        ImageDraw.Draw(canvas).rectangle(outline, outline=(235, 235, 235), width=line)
    canvas.paste(drawn, (left, top))
    return canvas
