"""A matplotlib figure whose files hold text as text, and which leaves matplotlib's settings alone."""

from __future__ import annotations

from io import BytesIO
from pathlib import PurePath
from typing import Any

import matplotlib
from matplotlib.figure import Figure

SETTINGS: Any = {
    "pdf.fonttype": 42,  # TrueType: searchable, and what publishers ask for
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "pellucid",  # the same figure gives the same file
    "savefig.bbox": None,  # or the size would not be the one that was asked for
    "savefig.dpi": "figure",
    "savefig.facecolor": "white",
    "text.usetex": False,
    "axes.grid": False,
    "axes.unicode_minus": True,
}
"""In force while a figure is made and while it is written, and at no other time."""
_UNDATED = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}


class Paper(Figure):
    """A figure for a paper, that of matplotlib otherwise."""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write it as matplotlib does, with text as text and without a date."""
        suffix = PurePath(fname).suffix[1:] if isinstance(fname, str | PurePath) else ""
        kind = str(options.get("format") or suffix).lower()
        with matplotlib.rc_context(SETTINGS):
            super().savefig(fname, **{"metadata": _UNDATED.get(kind), **options})

    def _repr_png_(self) -> bytes:
        """For notebooks, which would otherwise show its type."""
        content = BytesIO()
        self.savefig(content, format="png", dpi=min(self.dpi, 150))
        return content.getvalue()


def settings() -> Any:
    """A context in which matplotlib makes figures as they should be, whatever the user's settings."""
    return matplotlib.rc_context(SETTINGS)
