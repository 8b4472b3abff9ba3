"""A row of a table on the report page: signed bars, the largest first, with each column's name and value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path

from pellucid.contracts import Sample
from pellucid.modalities.modality import DrawnMap, View
from pellucid.modalities.tables.bars import EvidenceBar, bars


def view(sample: Sample, maps: Sequence[DrawnMap]) -> View:
    """A figure for each map; nothing moves, so there is no script."""
    figures = "".join(_figure(each.title, bars(sample, each.values)) for each in maps)
    return View(f'<div class="bars">{figures}</div>', None, _style())


def _figure(title: str, found: Sequence[EvidenceBar]) -> str:
    """The bars of one map; every text in it is escaped."""
    end = max((abs(bar.value) for bar in found if math.isfinite(bar.value)), default=0.0)
    rows = "".join(_row(bar, end) for bar in found)
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><table><thead><tr><th scope="col">column</th>'
        '<th scope="col">value</th><th scope="col">against · in favour</th><th scope="col">evidence</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></figure>"
    )


def _row(bar: EvidenceBar, end: float) -> str:
    number = f"{bar.value:+.3g}".replace("-", "−") if math.isfinite(bar.value) else "not finite"
    return (
        f'<tr><th scope="row">{escape(bar.name)}</th><td>{escape(bar.cell)}</td><td class="bar-cell">'
        f"{_drawn(bar.value, end)}</td><td>{number}</td></tr>"
    )


def _drawn(value: float, end: float) -> str:
    """A bar from the middle of 200 units."""
    share = 98 * value / end if end and math.isfinite(value) else 0.0
    left, kind = (100.0, "for") if share > 0 else (100.0 + share, "against")
    return (
        '<svg viewBox="0 0 200 12" preserveAspectRatio="none" aria-hidden="true"><line class="rule" x1="100" x2="100" '
        f'y1="0" y2="12"/><rect class="{kind}" x="{left:.2f}" y="1" width="{abs(share):.2f}" height="10"/></svg>'
    )


@cache
def _style() -> str:
    return Path(__file__).with_name("view.css").read_text("utf-8")
