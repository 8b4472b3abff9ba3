"""A signal on the report page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pellucid.contracts import Sample
from pellucid.modalities.modality import DrawnMap, View


def view(sample: Sample, maps: Sequence[DrawnMap]) -> View:  # noqa: ARG001
    """The lines with their ground coloured by the chosen map."""
    titles = "".join(f"<p>{escape(each.title)}</p>" for each in maps)
    return View(titles, script="document.documentElement.dataset.ready = ''")
