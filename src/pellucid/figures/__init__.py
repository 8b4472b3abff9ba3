"""Figures for papers: maps in matplotlib, with text that stays text, at a size in inches.

Matplotlib is optional and is imported when a figure is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.errors import BadOption
from pellucid.extras import library
from pellucid.figures.panel import FigureLook, FigurePanel, FigureRow, explained
from pellucid.storage.atomic import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pellucid.explanation import Explanation

ENDINGS = (".pdf", ".svg", ".png")
"""Of files that figures are written to."""

__all__ = [
    "ENDINGS",
    "FigureLook",
    "FigurePanel",
    "FigureRow",
    "check_file",
    "explained",
    "figure",
    "figure_of",
    "need_matplotlib",
    "save_figure",
]


def need_matplotlib() -> None:
    """Import it.

    Raises:
        MissingExtra: it is not installed.
    """
    library("matplotlib.figure", "Figures for papers need matplotlib", "figures")


def figure(result: Explanation | Sequence[Explanation], **look: Any) -> Figure:
    """Maps of one or several explanations: a row for each input, a column for each method, one scale of colours.

    Args:
        result: of pictures, signals, volumes, rows of tables or tensors; all of one kind.
        look: how it shall look, see `FigureLook`.

    Returns:
        A matplotlib figure that belongs to no window and to no list of pyplot's.

    Raises:
        MissingExtra: matplotlib is not installed.
        BadOption: there are no maps, of several kinds, or the size leaves no room for them.
        Refused: there is no figure of maps along such axes.
    """
    results = list(result) if isinstance(result, Sequence) else [result]
    return figure_of([row for each in results for row in explained(each)], FigureLook(**look))


def figure_of(rows: Sequence[FigureRow], look: FigureLook | None = None) -> Figure:
    """Rows of maps as a figure; see `figure`."""
    need_matplotlib()
    from pellucid.figures.layout import lay_out

    return lay_out(rows, look or FigureLook())


def check_file(path: Path) -> None:
    """Check that a figure can be written to such a file.

    Raises:
        BadOption: its ending says no format that there is.
        MissingExtra: matplotlib is not installed.
    """
    if path.suffix.lower() not in ENDINGS:
        raise BadOption(f"Expected a file that ends in {', '.join(ENDINGS)} for the figure, got {path.name!r}.")
    need_matplotlib()


def save_figure(made: Figure, path: str | Path) -> Path:
    """Write a figure, complete or not at all; the same figure gives the same bytes.

    Raises:
        BadOption: the ending is none of `ENDINGS`, or the file cannot be written.
    """
    from io import BytesIO

    path = Path(path)
    check_file(path)
    content = BytesIO()
    made.savefig(content, format=path.suffix.lower()[1:])
    return write_bytes(path, content.getvalue())
