"""Rows of panels at places in inches, with one bar of colours for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pellucid.errors import BadOption
from pellucid.figures.choosing import kind_of
from pellucid.figures.kinds import Kind, Place
from pellucid.figures.panel import FigureLook, FigurePanel, FigureRow
from pellucid.figures.paper import Paper, settings
from pellucid.figures.scales import end_of, meaning, scales_of
from pellucid.figures.texts import LEADING, SMALL, TITLE, fitted
from pellucid.pictures import ColourScale

_EDGE, _GAP, _BETWEEN = 0.04, 0.09, 0.1
_BAR, _BAR_GAP = 0.08, 0.14
_LEAST = 0.25
"""Inches: no panel is smaller."""


@dataclass(frozen=True, eq=False)
class _Cell:
    """A panel with its texts, broken into lines."""

    panel: FigurePanel
    scale: ColourScale
    title: list[str]
    below: list[str]


_Line = list[_Cell | None]


def lay_out(rows: Sequence[FigureRow], look: FigureLook) -> Figure:
    """The figure. Panels keep the shape of what they show; where a height is asked for, they share what there is.

    Raises:
        BadOption: no maps, maps of several kinds, or no room.
        Refused: there is no figure of maps along such axes.
    """
    with settings():
        return _Page(rows, look).figure()


class _Page:
    """Where everything of one figure stands."""

    def __init__(self, rows: Sequence[FigureRow], look: FigureLook) -> None:
        rows = _named(rows, look)
        maps = [panel for row in rows for panel in row.maps]
        if not maps:
            raise BadOption("Expected at least one map for a figure, got none. Run a method first.")
        if len({tuple(axis.name for axis in panel.axes) for panel in maps}) > 1:
            raise BadOption("Expected maps of one kind of input for a figure, got several. Make a figure of each.")
        self.look, self.kind = look, kind_of(maps[0].axes)
        found = scales_of([panel.values for panel in maps], look.scale)
        self.scales = dict(zip(map(id, maps), found, strict=True))
        lines = _lines(rows, self.kind, look)
        self.columns = max(map(len, lines))
        inner = look.width - 2 * _EDGE - (self.columns - 1) * _GAP
        self.wide = inner / self.columns
        if self.wide < _LEAST:
            raise BadOption(
                f"{self.columns} columns do not fit into {look.width} inches. Ask for fewer, or for more room."
            )
        alike = len({tuple(p and p.title for p in line) for line in lines}) == 1
        self.lines: list[_Line] = [
            [None if panel is None else self._cell(panel, titled=number == 0 or not alike) for panel in line]
            for number, line in enumerate(lines)
        ]
        self.note = fitted(self._meaning(found), look.width - 2 * _EDGE, SMALL, 4)

    def _meaning(self, scales: Sequence[ColourScale]) -> str:
        if self.kind.ramp is not None:
            return meaning(scales, self.look.scale)
        shared = "All panels share one axis" if self.look.scale == "shared" else "Each panel has an axis of its own"
        return f"Evidence: bars to the right speak for the target, bars to the left against it. {shared}."

    def _cell(self, panel: FigurePanel, *, titled: bool) -> _Cell:
        scale = self.scales.get(id(panel), next(iter(self.scales.values())))
        below = [line for text in panel.below for line in fitted(text, self.wide, SMALL)]
        if not panel.plain and self.kind.ramp is not None:
            own = end_of(scale) if self.look.scale == "own" else scale.note
            below += fitted(own, self.wide, SMALL)
        return _Cell(panel, scale, fitted(panel.title, self.wide, TITLE) if titled else [], below)

    def figure(self) -> Figure:
        """Everything at its place."""
        texts = [_texts(line) for line in self.lines]
        bodies = [max(self.kind.height(c.panel, self.wide, self.look) for c in line if c) for line in self.lines]
        fixed = sum(above + below for above, below in texts) + _BETWEEN * (len(self.lines) - 1) + self._foot()
        high = self.look.height or fixed + sum(bodies) + 2 * _EDGE
        share = (high - fixed - 2 * _EDGE) / sum(bodies)
        if share <= 0 or min(bodies) * share < _LEAST / 2:
            raise BadOption(
                f"{len(self.lines)} rows do not fit into a height of {high:g} inches. "
                f"Ask for {fixed + sum(bodies):.1f}, or leave the height out."
            )
        made = Paper(figsize=(self.look.width, high), dpi=self.look.dpi, facecolor="white")
        top = high - _EDGE
        for line, (above, below), body in zip(self.lines, texts, bodies, strict=True):
            for number, cell in enumerate(line):
                if cell is not None:
                    left = _EDGE + number * (self.wide + _GAP)
                    self._draw(made, cell, (left, top - above - body * share, self.wide, body * share))
            top -= above + body * share + below + _BETWEEN
        self._draw_foot(made)
        return made

    def _draw(self, made: Figure, cell: _Cell, place: Place) -> None:
        left, bottom, _, high = place
        self.kind.draw(lambda where: _add(made, where), place, cell.panel, cell.scale, self.look)
        _say(made, left, bottom + high + len(cell.title) * TITLE * LEADING, cell.title, TITLE)
        _say(made, left, bottom - 0.02, cell.below, SMALL)

    def _foot(self) -> float:
        bar = 0.0 if self.kind.ramp is None else _BAR + SMALL * LEADING + 0.07
        return _BAR_GAP + bar + len(self.note) * SMALL * LEADING

    def _draw_foot(self, made: Figure) -> None:
        """The one bar of colours, and what it means."""
        words = len(self.note) * SMALL * LEADING
        _say(made, _EDGE, _EDGE + words, self.note, SMALL)
        if self.kind.ramp is None:
            return
        first = next(iter(self.scales.values()))
        wide = min(2.2, 0.6 * self.look.width)
        bar = _add(made, (_EDGE + 0.15, _EDGE + words + SMALL * LEADING + 0.07, wide, _BAR))
        colours = self.kind.ramp(first.signed, self.look)
        bar.imshow(
            colours[None], aspect="auto", interpolation="none", extent=(-1.0 if first.signed else 0.0, 1.0, 0.0, 1.0)
        )
        bar.set_label("colour bar")
        bar.set_yticks([])
        bar.set_xticks([-1.0, 0.0, 1.0] if first.signed else [0.0, 1.0], self._ends(first))
        bar.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1.5)
        for spine in bar.spines.values():
            spine.set_linewidth(0.4)

    def _ends(self, scale: ColourScale) -> list[str]:
        end = "end" if self.look.scale == "own" else f"{scale.high:.3g}"
        return [f"−{end}", "0", end] if scale.signed else ["0", end]


def _named(rows: Sequence[FigureRow], look: FigureLook) -> list[FigureRow]:
    """Where several inputs do not stand in front of their maps, each map says which one it is of."""
    if len({row.name for row in rows}) < 2:
        return list(rows)

    def told(row: FigureRow) -> FigureRow:
        first = row.original is not None and look.original and kind_of(row.original.axes).original
        return row if first else replace(row, maps=tuple(replace(m, below=(row.name, *m.below)) for m in row.maps))

    return [told(row) for row in rows]


def _lines(rows: Sequence[FigureRow], kind: Kind, look: FigureLook) -> list[list[FigurePanel | None]]:
    """The panels line by line. A method has the same column in all of them; long rows go on in the next line."""
    titles = list(dict.fromkeys(panel.title for row in rows for panel in row.maps))
    found: list[list[FigurePanel | None]] = []
    first = look.original and kind.original
    for row in rows:
        by_title = {panel.title: panel for panel in row.maps}
        panels = [row.original] * first + [by_title.get(title) for title in titles]
        if not kind.original:
            panels = [panel for panel in panels if panel is not None]
        wanted = look.columns or kind.columns
        lines = -(-len(panels) // wanted)
        each = wanted if look.columns else -(-len(panels) // lines)
        found += [panels[k : k + each] for k in range(0, len(panels), each)]
    return [line for line in found if any(line)]


def _texts(line: _Line) -> tuple[float, float]:
    """Height of the texts above and below a line of panels."""
    titles = max(len(cell.title) for cell in line if cell)
    below = max(len(cell.below) for cell in line if cell)
    return titles * TITLE * LEADING + (0.03 if titles else 0.0), below * SMALL * LEADING + 0.02


def _add(made: Figure, place: Place) -> Axes:
    """A plot at a place in inches."""
    wide, high = made.get_size_inches()
    left, bottom, width, height = place
    return made.add_axes((left / wide, bottom / high, width / wide, height / high))


def _say(made: Figure, left: float, top: float, lines: Sequence[str], size: float) -> None:
    """Lines of text from the top down, each a text of its own."""
    wide, high = made.get_size_inches()
    for number, line in enumerate(lines):
        y = top - number * size * LEADING
        made.text(left / wide, y / high, line, fontsize=size, va="top", ha="left", parse_math=False)
