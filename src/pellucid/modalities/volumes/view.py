"""A volume on the report page: three planes with a cross-hair through them, largest values, all slices."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid.contracts import Sample
from pellucid.modalities.modality import DrawnMap, View
from pellucid.modalities.painting import evenly, grey, levels
from pellucid.modalities.volumes.draw import strongest
from pellucid.modalities.volumes.planes import Plane, best_plane, planes, size_on_paper
from pellucid.modalities.volumes.space import NAMES
from pellucid.pictures import scale
from pellucid.pictures.colour import as_array
from pellucid.pictures.packing import halves, tables

_LONGEST = 128
"""Places along an axis that a page holds; of longer ones some stand together."""
_SLICES = 20


def view(sample: Sample, maps: Sequence[DrawnMap]) -> View:
    """The slice viewer.

    Args:
        sample: the volume; of several channels the first is the ground.
        maps: each `[depth, row, column]`.
    """
    cuts, sizes = planes(sample), tuple(sample.tensor.shape[1:])
    blocks = tuple(-(-size // _LONGEST) for size in sizes)
    ground = _blocks(as_array(sample.tensor[0]), blocks).mean((1, 3, 5))
    shown = (grey(ground, levels(ground)) * 255).round().astype(np.uint8)
    best = best_plane(sample, cuts)
    data = {
        "names": NAMES, "sizes": shown.shape, "full": sizes, "blocks": blocks, "tables": tables(),
        "affine": sample.geometry.get("affine"), "body": bool(sample.geometry.get("letters")),
        "ground": b64encode(shown.tobytes()).decode(),
        "planes": [_plane(sample, plane) for plane in cuts],
        "sheet": {"plane": best.axis, "places": evenly(shown.shape[best.axis], _SLICES)},
        "maps": [_map(each, blocks) for each in maps],
    }  # fmt: skip
    return View(_html(sample, maps, cuts, best, blocks), data, _file("view.css"), _file("view.js"))


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _blocks(values: NDArray[np.float64], blocks: Sequence[int]) -> NDArray[np.float64]:
    """Places that stand together as axes of their own: `[depth, so many, row, so many, column, so many]`."""
    padding = [(0, -size % block) for size, block in zip(values.shape, blocks, strict=True)]
    padded = np.pad(values, padding, mode="edge")
    shape = [n for size, block in zip(padded.shape, blocks, strict=True) for n in (size // block, block)]
    return padded.reshape(shape)


def _map(drawn: DrawnMap, blocks: Sequence[int]) -> dict[str, Any]:
    """A map with its scale; of places that stand together the largest value is kept."""
    values = _blocks(drawn.values, blocks)
    for axis in (5, 3, 1):
        values = strongest(values, axis)
    colours = scale(torch.from_numpy(drawn.values))
    data, unit = halves(values)
    return {
        "title": drawn.title, "data": data, "unit": unit, "high": colours.high, "signed": colours.signed,
        "note": colours.note,
    }  # fmt: skip


def _plane(sample: Sample, plane: Plane) -> dict[str, Any]:
    high, wide = size_on_paper(sample, plane)
    return {
        "axis": plane.axis, "title": plane.title, "down": plane.down, "right": plane.right,
        "turnDown": plane.turn_down, "turnRight": plane.turn_right, "ends": plane.ends, "high": high, "wide": wide,
    }  # fmt: skip


def _html(sample: Sample, maps: Sequence[DrawnMap], cuts: Sequence[Plane], best: Plane, blocks: Sequence[int]) -> str:
    chips = "".join(
        f'<button type="button" class="chip" aria-pressed="{str(k == 0).lower()}">{escape(each.title)}</button>'
        for k, each in enumerate(maps)
    )
    each = " x ".join(map(str, blocks))
    together = f" {each} voxels are drawn as one: their mean, and the map's largest value." if max(blocks) > 1 else ""
    sides = (
        "Letters at the edges are the sides of the body: R right, L left, A front, P back, S head, I feet."
        if sample.geometry.get("letters")
        else "The file does not say how the volume lies in a body; planes are named by the axes that they stand across."
    )
    first = "" if len(sample.tensor) == 1 else f" The ground is channel 0 of {len(sample.tensor)}."
    return f"""<div class="volume" data-volume>
<div class="methods" role="group" aria-label="Maps">{chips}</div>
<div class="bar">
<div class="switch" role="group" aria-label="What the planes show">
<button type="button" class="chip" data-largest="" aria-pressed="true">slices</button>
<button type="button" class="chip" data-largest="yes" aria-pressed="false">largest values</button></div>
<label>map <input type="range" class="opacity" min="0" max="100" value="100" aria-label="Opacity of the map"></label>
</div>
<div class="cuts">{"".join(_cut(sample, plane) for plane in cuts)}</div>
<div class="readout" aria-live="polite"><span class="value">–</span><span class="where"></span></div>
<div class="legend"><canvas class="key" width="256" height="1" role="img" aria-label="Colours of the map"></canvas>
<p class="ends"><span class="low"></span><span class="zero"></span><span class="high"></span></p>
<p class="scale"></p></div>
<p class="hint">Click or drag in a plane, or use the arrow keys there, to move the cross-hair; Page Up and Page Down go
from slice to slice. {sides}{first}{together}</p>
<h3>Slices, {best.title}</h3>
<canvas class="contact" role="img" aria-label="Slices, {best.title}, with the map over them"></canvas>
</div>"""


def _cut(sample: Sample, plane: Plane) -> str:
    last = sample.tensor.shape[1 + plane.axis] - 1
    return (
        f'<figure class="cut"><canvas class="stage" tabindex="0" role="application" data-plane="{plane.axis}" '
        f'aria-label="{plane.title} plane; arrow keys move the cross-hair"></canvas><figcaption><label>{plane.title} '
        f'<input type="range" min="0" max="{last}" data-axis="{plane.axis}" aria-label="{plane.title} slice, along '
        f'{NAMES[plane.axis]}"></label><output></output></figcaption></figure>'
    )
