"""A video on the report page: one frame large, a curve of the evidence in seconds, a strip of frames."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pellucid.contracts import Sample
from pellucid.modalities.modality import DrawnMap, View
from pellucid.modalities.painting import evenly
from pellucid.modalities.videos.draw import frames_of, importance, placed, said, timed, times, zero_of

_MOST, _LONGEST = 48, 360


def view(sample: Sample, maps: Sequence[DrawnMap]) -> View:
    """The frame viewer.

    Args:
        sample: the video.
        maps: each `[frame, row, column]`.
    """
    chosen = evenly(sample.tensor.shape[1], _MOST)
    data = {"maps": [_map(sample, each, chosen) for each in maps], "titles": [said(sample, k) for k in chosen]}
    return View(_html(sample, maps, len(chosen)), data, _file("view.css"), _file("view.js"))


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _map(sample: Sample, drawn: DrawnMap, chosen: Sequence[int]) -> dict[str, Any]:
    sums = np.nan_to_num(importance(drawn.values))
    x, y = placed(times(sample), sums)
    return {
        "frames": [_source(image) for image in frames_of(sample, drawn.values, chosen, _LONGEST)],
        "sums": [float(sums[k]) for k in chosen],
        "at": [float(x[k]) for k in chosen],
        "curve": [[float(a), float(b)] for a, b in zip(x, y, strict=True)],
        "zero": zero_of(sums),
        "ends": [float(max(sums.max(), 0)), float(min(sums.min(), 0))],
    }


def _source(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"


def _html(sample: Sample, maps: Sequence[DrawnMap], count: int) -> str:
    chips = "".join(
        f'<button type="button" class="chip" aria-pressed="{str(k == 0).lower()}">{escape(each.title)}</button>'
        for k, each in enumerate(maps)
    )
    total = sample.tensor.shape[1]
    left_out = f" {count} of its {total} frames are shown; the curve has all." if count < total else ""
    at = times(sample)
    unit = "s" if timed(sample) else ""
    return f"""<div class="video" data-video>
<div class="methods" role="group" aria-label="Maps">{chips}</div>
<img class="frame-now" alt="">
<label class="seek"><span class="now"></span>
<input type="range" min="0" max="{count - 1}" value="0" aria-label="Frame"></label>
<h3>Sum of the map, frame by frame</h3>
<svg class="importance" viewBox="0 0 1000 180" role="img" aria-label="Sum of the map over time"
preserveAspectRatio="none">
<line class="zero" x1="0" x2="1000"></line><polyline points=""></polyline>
<line class="here" y1="0" y2="180"></line></svg>
<p class="ends"><span>{at[0]:g} {unit}</span><span class="range"></span><span>{at[-1]:.4g} {unit}</span></p>
<p class="hint">Move the slider, click the curve or choose a frame. All frames share one scale.{left_out}</p>
<div class="film" role="group" aria-label="Frames"></div>
</div>"""
