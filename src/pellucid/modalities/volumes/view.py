"""A volume on the report page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO

import torch

from pellucid.contracts import Sample
from pellucid.modalities.modality import DrawnMap, View
from pellucid.modalities.volumes.draw import draw


def view(sample: Sample, maps: Sequence[DrawnMap]) -> View:
    """Contact sheets of all maps."""
    return View("".join(_sheet(sample, each) for each in maps), script="document.documentElement.dataset.ready = ''")


def _sheet(sample: Sample, drawn: DrawnMap) -> str:
    buffer = BytesIO()
    draw(sample, torch.from_numpy(drawn.values)).save(buffer, "PNG")
    source = f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
    title = escape(drawn.title)
    return f'<figure><figcaption>{title}</figcaption><img class="sheet" src="{source}" alt="{title}"></figure>'
