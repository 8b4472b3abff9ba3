"""Texts that fit into their column, measured with the font that draws them."""

from __future__ import annotations

from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

TITLE, SMALL = 7.5, 6.0
"""Sizes in points."""
LEADING = 1.3 / 72
"""Height of a line in inches, per point of its size."""


@lru_cache(maxsize=4096)
def wide(text: str, size: float) -> float:
    """Width of a line in inches."""
    width, _, _ = TextToPath().get_text_width_height_descent(text, FontProperties(size=size), ismath=False)
    return float(width) / 72


def fitted(text: str, width: float, size: float, lines: int = 2) -> list[str]:
    """A text in at most so many lines, broken at spaces; what is left over ends in an ellipsis.

    Args:
        text: of any length; untrusted, so that control characters and ends of lines become spaces.
        width: of a line, in inches.
        size: of the letters, in points.
        lines: how many there may be.
    """
    words = "".join(letter if letter.isprintable() else " " for letter in text[:400]).split()
    found: list[str] = []
    for word in words:
        longer = f"{found[-1]} {word}" if found else word
        if found and (wide(longer, size) <= width or len(found) == lines):
            found[-1] = longer
        else:
            found.append(word)
    return [_cut(line, width, size) for line in found]


def _cut(line: str, width: float, size: float) -> str:
    if wide(line, size) <= width:
        return line
    while line and wide(f"{line}…", size) > width:
        line = line[:-1]
    return f"{line.rstrip()}…"
