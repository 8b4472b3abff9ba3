"""Several pictures on one page, with titles."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from pellucid.errors import BadOption

_PAPER, _INK = (255, 255, 255), (32, 33, 36)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def sheet(
    images: Sequence[tuple[Image.Image, str]], *, columns: int | None = None, cell: int = 320, gap: int = 16
) -> Image.Image:
    """A contact sheet: pictures in rows, each with its title above; with alpha where a picture has it.

    Args:
        images: pictures with titles; a title that is too wide ends in an ellipsis, "" is none.
        columns: pictures per row; default: all in one row, side by side.
        cell: width and largest height of one picture, in pixels; aspect ratios are kept.
        gap: space around pictures, in pixels.

    Raises:
        BadOption: there are no pictures, or no columns to put them in.
    """
    columns = len(images) if columns is None else columns
    if not images or columns < 1:
        raise BadOption(f"Expected at least one picture and one column, got {len(images)} and {columns}.")
    font = ImageFont.load_default(size=max(12, cell // 18))
    title = math.ceil(font.getbbox("Ág")[3] * 1.35) if any(text for _, text in images) else 0
    mode = "RGBA" if any(image.mode == "RGBA" for image, _ in images) else "RGB"
    fitted = [(_fit(image, cell, mode), text) for image, text in images]
    rows = [fitted[start : start + columns] for start in range(0, len(fitted), columns)]
    heights = [title + max(image.height for image, _ in row) + gap for row in rows]
    width = min(columns, len(images)) * (cell + gap) + gap
    page = Image.new(mode, (width, sum(heights) + gap), _PAPER)
    for number, row in enumerate(rows):
        _draw_row(page, row, gap + sum(heights[:number]), title, cell, gap, font)
    return page


def _draw_row(
    page: Image.Image, row: Sequence[tuple[Image.Image, str]], top: int, title: int, cell: int, gap: int, font: Font
) -> None:
    draw = ImageDraw.Draw(page)
    for number, (image, text) in enumerate(row):
        left = gap + number * (cell + gap) + (cell - image.width) // 2
        draw.text((left, top), _shorten(text, image.width, font), fill=_INK, font=font)
        page.paste(image, (left, top + title))


def _fit(image: Image.Image, cell: int, mode: str) -> Image.Image:
    factor = cell / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.convert(mode).resize(size, Image.Resampling.LANCZOS)


def _shorten(text: str, width: int, font: Font) -> str:
    text = " ".join(text.split())[:200]
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"
