"""A row of a table as a picture: a bar for each column."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw
from torch import Tensor

from pellucid.contracts import Sample
from pellucid.modalities.colours import AGAINST, FOR, INK, LINE, SOFT
from pellucid.modalities.tables.bars import bars
from pellucid.pictures.colour import as_array

_WIDTH, _NAMES, _NUMBERS, _ROW = 900, 320, 90, 26


def draw(sample: Sample, values: Tensor) -> Image.Image:
    """Bars, the largest first: red to the right is evidence in favour, blue to the left against.

    Args:
        sample: the row.
        values: `[feature]`, the signed map.
    """
    found = bars(sample, as_array(values))
    end = max((abs(bar.value) for bar in found if math.isfinite(bar.value)), default=0.0)
    image = Image.new("RGB", (_WIDTH, _ROW * len(found) + 16), "white")
    pen = ImageDraw.Draw(image)
    half = (_WIDTH - _NAMES - _NUMBERS - 20) / 2
    middle = _NAMES + 10 + half
    for number, bar in enumerate(found):
        y = 8 + number * _ROW
        pen.text((12, y + 6), _short(f"{bar.name} = {bar.cell}" if bar.cell else bar.name), fill=INK)
        if end and math.isfinite(bar.value):
            across = half * bar.value / end
            box = (min(middle, middle + across), y + 4, max(middle, middle + across), y + _ROW - 5)
            pen.rectangle(box, fill=FOR if bar.value > 0 else AGAINST)
        pen.text((_WIDTH - 12, y + 6), f"{bar.value:.3g}", fill=SOFT, anchor="ra")
    pen.line([(middle, 4), (middle, image.height - 4)], fill=LINE)
    return image


def _short(text: str) -> str:
    """A text that fits beside the bars."""
    return text if len(text) <= 50 else f"{text[:49]}…"
