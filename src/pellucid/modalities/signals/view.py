"""A signal on the report page: the lines, their ground coloured by the chosen map, and a way to look closer."""

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
from pellucid.modalities.signals.scales import envelope, strongest, time_of
from pellucid.pictures import scale
from pellucid.pictures.colour import as_array

MOST = 60_000
"""Parts of a signal that a page holds; of a longer one each has several samples, and shows the range of these."""


def view(sample: Sample, maps: Sequence[DrawnMap]) -> View:
    """The lines with their ground coloured by the chosen map; the script draws them and zooms."""
    length, unit = time_of(sample)
    lines = [_line(sample, number, line) for number, line in enumerate(as_array(sample.tensor))]
    data = {"length": length, "unit": unit, "samples": sample.tensor.shape[-1], "lines": lines}
    return View(_html(maps), {**data, "maps": [_map(each) for each in maps]}, _file("view.css"), _file("view.js"))


def _html(maps: Sequence[DrawnMap]) -> str:
    """What stands on the page before the script draws; every text in it is escaped."""
    chips = "".join(
        f'<button type="button" class="chip" data-map="{number}" aria-pressed="{"false" if number else "true"}">'
        f"{escape(each.title)}</button>"
        for number, each in enumerate(maps)
    )
    return (
        '<noscript><p class="warning">The lines are drawn by a script inside of this page. Switch JavaScript on to see '
        "them.</p></noscript>"
        f'<div class="signal"><div class="methods" role="group" aria-label="Method">{chips}</div>'
        '<div class="plot" tabindex="0" role="img" aria-label="The signal with its ground coloured by the map"></div>'
        '<p class="readout"><output class="value" aria-live="polite">–</output>'
        '<span class="where">Point at the line to read values; drag over a part to look closer.</span></p>'
        '<div class="bar"><div class="switch zoom" role="group" aria-label="Zoom">'
        '<button type="button" data-zoom="in">closer</button><button type="button" data-zoom="out">wider</button>'
        '<button type="button" data-zoom="back" aria-label="earlier">←</button>'
        '<button type="button" data-zoom="on" aria-label="later">→</button>'
        '<button type="button" data-zoom="whole">whole</button></div><p class="ends key"></p></div></div>'
    )


def _line(sample: Sample, number: int, line: NDArray[np.float64]) -> dict[str, Any]:
    """A channel: its name, and the lowest and highest value in each part."""
    _, low, high = envelope(line, MOST)
    name = sample.channels[number] if number < len(sample.channels) else ""
    plain = name or (f"channel {number}" if len(sample.tensor) > 1 else "")
    return {"name": plain, "low": _packed(low), "high": None if high is low else _packed(high)}


def _map(drawn: DrawnMap) -> dict[str, Any]:
    """A map: its values, of each part the one of largest size, and the value that has the strongest colour."""
    values = np.asarray(drawn.values, np.float64)
    colours = scale(torch.from_numpy(values))
    finite = np.where(np.isfinite(values), values, np.nan)
    kept = strongest(finite, MOST) if len(values) > MOST else finite
    return {"title": drawn.title, "end": colours.high, "signed": colours.signed, "values": _packed(kept)}


def _packed(values: NDArray[np.float64]) -> str:
    """float32, little endian, base64."""
    return b64encode(values.astype("<f4").tobytes()).decode()


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")
