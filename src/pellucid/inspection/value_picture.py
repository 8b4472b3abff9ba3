"""One value as a picture: where it looks, what it sees there, its weights, their products, and the sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pellucid.capture.tracing import Pieces
from pellucid.errors import BadSite
from pellucid.pictures.colour import ColourScale, colour_map_for, scale

if TYPE_CHECKING:
    from pellucid.inspection.value import Look

_PAPER, _INK, _SOFT, _FRAME = (255, 255, 255), (26, 27, 30), (91, 95, 102), (213, 94, 0)
_CELL, _ROWS, _GAP, _MARGIN = 132, 4, 26, 24
_LABELLED = 5  # cells along a side, up to which each carries its number


def draw(look: Look) -> Image.Image:
    """See `Look.draw`."""
    if look.pieces is None or look.pieces.cells.ndim not in (2, 3):
        raise BadSite(
            f"The layer '{look.site}' has no window of rows and columns to draw. The numbers hold: see its stages."
        )
    pieces = _in_rows(look.pieces)
    look = replace(look, pieces=pieces)
    names = {"sum": ("what it sees", "weights", "products"), "maximum": ("what it sees", "where a gradient goes", ""),
             "mean": ("what it sees", "where a gradient goes", "")}[pieces.kind]  # fmt: skip
    columns: list[Tensor] = [pieces.cells, pieces.weights, pieces.products]
    columns = columns[: 3 if pieces.kind == "sum" else 2]
    shown = pieces.products.abs().sum((1, 2)).argsort(descending=True, stable=True)[:_ROWS].tolist()
    scales = [scale(column[column.isfinite()]) for column in columns]
    left = 0 if look.picture is None else 2 * _CELL + _GAP
    beside = 110 if pieces.kind == "sum" else 190
    width = 2 * _MARGIN + (left + _GAP if left else 0) + len(columns) * (_CELL + _GAP) + beside
    width = max(width, *(_formula_at(look) + _width(stage.formula, 15) + _MARGIN for stage in look.stages))
    height = _MARGIN + 62 + len(shown) * (_CELL + _GAP) + 34 * len(look.stages) + _MARGIN
    page = Image.new("RGB", (max(width, 760), max(height, 480 if left else 0)), _PAPER)
    pen = ImageDraw.Draw(page)
    place = f" at {', '.join(map(str, look.at))}" if look.at else ""
    pen.text((_MARGIN, _MARGIN - 6), f"{look.site}, unit {look.unit}{place}", fill=_INK, font=_font(20))
    top = _MARGIN + 62
    if left:
        _where(page, look, top)
    begin = _MARGIN + (left + _GAP if left else 0)
    for k, (name, column, drawn) in enumerate(zip(names, columns, scales, strict=False)):
        x = begin + k * (_CELL + _GAP)
        pen.text((x, top - 24), name, fill=_SOFT, font=_font(14))
        for row, channel in enumerate(shown):
            tile = _tile(column[channel], drawn, winner=pieces.winner if k == 0 else None)
            page.paste(tile, (x, top + row * (_CELL + _GAP)))
    if pieces.kind == "sum":
        _sums(pen, look, shown, begin + 3 * (_CELL + _GAP), top)
    elif pieces.kind == "maximum":
        text = "max pooling sends all of it\nto the winner (framed)"
        pen.multiline_text((begin + 2 * (_CELL + _GAP), top), text, fill=_SOFT, font=_font(14))
    else:
        text = "average pooling spreads it\nevenly over all cells"
        pen.multiline_text((begin + 2 * (_CELL + _GAP), top), text, fill=_SOFT, font=_font(14))
    bottom = max(top + len(shown) * (_CELL + _GAP), top + (2 * _CELL + 40 if left else 0)) + 4
    needed = bottom + 34 * len(look.stages) + _MARGIN
    page = _grown(page, needed)
    _stages(ImageDraw.Draw(page), look, bottom)
    return page


def _in_rows(pieces: Pieces) -> Pieces:
    """A window along one axis as a window of one row."""
    if pieces.cells.ndim == 3:
        return pieces
    cells, weights, backward = (part[:, None] for part in (pieces.cells, pieces.weights, pieces.backward))
    return replace(pieces, cells=cells, weights=weights, backward=backward)


def _where(page: Image.Image, look: Look, top: int) -> None:
    """The picture as the network sees it, with the receptive field, and the field enlarged."""
    picture = look.picture
    if picture is None:
        return
    side = 2 * _CELL + _GAP
    pen = ImageDraw.Draw(page)
    seen = picture.image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, picture.box)
    page.paste(seen, (_MARGIN, top))
    if look.box is None or look.field is None:
        return
    (first_row, last_row), (first_column, last_column) = look.box
    rows, columns = look.field.pixels
    if last_row < first_row:
        pen.text((_MARGIN, top - 24), "sees padding only", fill=_SOFT, font=_font(14))
        return
    box = (
        _MARGIN + side * first_column / columns,
        top + side * first_row / rows,
        _MARGIN + side * (last_column + 1) / columns,
        top + side * (last_row + 1) / rows,
    )
    how = {"exact": "", "whole picture": "", "bound": "at most ", "data dependent": "at most "}[look.field.status]
    size = f"{how}{last_row - first_row + 1} x {last_column - first_column + 1} pixels"
    pen.text((_MARGIN, top - 24), f"it depends on {size}", fill=_SOFT, font=_font(14))
    for line, colour in ((3, _PAPER), (1, _FRAME)):
        pen.rectangle((box[0] - line, box[1] - line, box[2] + line, box[3] + line), outline=colour, width=2)


def _tile(values: Tensor, drawn: ColourScale, winner: tuple[int, ...] | None = None) -> Image.Image:
    """Cells as squares, with their numbers where these fit."""
    rows, columns = values.shape
    numbers = values.double().numpy()
    finite = np.nan_to_num(numbers, neginf=0.0, posinf=0.0)
    placed = drawn.place(finite)
    index = np.rint(128 + 127 * placed if drawn.signed else 255 * placed).astype(int)
    colours = colour_map_for(drawn)[index][..., :3].copy()
    colours[~np.isfinite(numbers)] = 200  # padding that no maximum can choose
    side = max(1, _CELL // max(rows, columns))
    tile = Image.fromarray(np.repeat(np.repeat(colours, side, 0), side, 1))
    pen = ImageDraw.Draw(tile)
    if max(rows, columns) <= _LABELLED:
        for r in range(rows):
            for c in range(columns):
                if np.isfinite(numbers[r, c]):
                    dark = float(colours[r, c] @ [0.299, 0.587, 0.114]) < 140
                    centre = (c * side + side / 2, r * side + side / 2)
                    text, ink = _number(numbers[r, c], drawn.high), _PAPER if dark else _INK
                    pen.text(centre, text, fill=ink, font=_font(13 if max(rows, columns) < 5 else 9), anchor="mm")
    if winner is not None:
        r, c = winner[1:]
        pen.rectangle((c * side, r * side, (c + 1) * side - 1, (r + 1) * side - 1), outline=_FRAME, width=3)
    return tile


def _sums(pen: ImageDraw.ImageDraw, look: Look, shown: Sequence[int], x: int, top: int) -> None:
    pieces = look.pieces
    if pieces is None:
        return
    per_channel = pieces.products.sum((1, 2))
    for row, channel in enumerate(shown):
        y = top + row * (_CELL + _GAP) + _CELL // 2 - 20
        pen.text((x, y), f"channel {channel}", fill=_SOFT, font=_font(14))
        pen.text((x, y + 18), f"{float(per_channel[channel]):+.4g}", fill=_INK, font=_font(17))
    others = len(per_channel) - len(shown)
    if others > 0:
        rest = float(per_channel.sum() - per_channel[list(shown)].sum())
        y = top + (len(shown) - 1) * (_CELL + _GAP) + _CELL - 14
        pen.text((x, y), f"{others} others {rest:+.4g}", fill=_SOFT, font=_font(14))


def _stages(pen: ImageDraw.ImageDraw, look: Look, top: int) -> None:
    x = _formula_at(look)
    for number, stage in enumerate(look.stages):
        y = top + 34 * number
        pen.text((_MARGIN, y), stage.name, fill=_SOFT, font=_font(14))
        pen.text((x, y), stage.formula, fill=_INK, font=_font(15))


def _formula_at(look: Look) -> int:
    """Where the formulas begin: behind the longest name."""
    return _MARGIN + max(110, *(16 + _width(stage.name, 14) for stage in look.stages))


def _width(text: str, size: int) -> int:
    return math.ceil(_font(size).getlength(text))


def _grown(page: Image.Image, height: int) -> Image.Image:
    taller = Image.new("RGB", (page.width, max(height, 1)), _PAPER)
    taller.paste(page, (0, 0))
    return taller


def _number(value: float, high: float) -> str:
    """As many decimals as the layer's largest values need."""
    if value == 0:
        return "0"
    decimals = 0 if high >= 100 else 1 if high >= 10 else 2 if high >= 0.2 else 3
    text = f"{value:.{decimals}f}" if high >= 0.02 else f"{value:.0e}".replace("e-0", "e-")
    return text.replace("-0", "0") if float(text) == 0 else text


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
