"""Charts as SVG, to stand in a page: curves of one unit over a shared axis, with direct labels and no script."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape


@dataclass(frozen=True)
class _Sheet:
    """Size of a drawing and of the margins around its plot, in pixels; about how many ticks an axis has."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    ticks: int


_WIDE = _Sheet(528, 250, 52, 104, 12, 34, 4)
_SMALL = _Sheet(300, 150, 46, 84, 8, 32, 2)


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    across: str,
    up: str,
    low: float | None = None,
    high: float | None = None,
    logarithmic: bool = False,
    marks: Mapping[str, float] | None = None,
    points: Collection[str] = (),
    quiet: Collection[str] = (),
    small: bool = False,
    whole: bool = False,
) -> Markup:
    """Curves, each in its own colour and named at its end.

    Args:
        series: by name, points (x, y); points that are not finite are left out.
        across: what the level axis shows, with its unit.
        up: what the upright axis shows, likewise.
        low: end of the upright axis; None takes the data's.
        high: its other end, likewise.
        logarithmic: of the upright axis; values must be positive.
        marks: by name, places on the level axis at which a dashed line stands.
        points: names of the series whose points are dots, and not joined by a line.
        quiet: names of the series that are there to compare with, drawn thin and grey.
        small: a drawing that is to stand beside many others.
        whole: the level axis counts things, and has ticks at whole numbers only.
    """
    drawn = {name: [(x, y) for x, y in line if math.isfinite(x) and math.isfinite(y)] for name, line in series.items()}
    if logarithmic:
        drawn = {name: [(x, math.log10(y)) for x, y in line if y > 0] for name, line in drawn.items()}
    xs = [x for line in drawn.values() for x, _ in line]
    ys = [y for line in drawn.values() for _, y in line]
    if not xs:
        return Markup("<p class='why'>Nothing to draw.</p>")
    sheet = _SMALL if small else _WIDE
    foot, end = sheet.height - sheet.bottom, sheet.width - sheet.right
    level = _Axis(min(xs), max(xs), sheet.left, end, sheet.ticks, whole=whole)
    upright = _Axis(min(ys) if low is None else low, max(ys) if high is None else high, foot, sheet.top, sheet.ticks)
    body = [*_grid(sheet, level, upright, across, up, logarithmic=logarithmic)]
    for name, x in (marks or {}).items():
        body.append(
            Markup('<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(level.at(x), sheet.top, foot)
        )
        # Above the plot, where no curve comes, and towards its middle, where no curve's name stands.
        side = "tick end" if level.at(x) > (sheet.left + end) / 2 else "tick"
        body.append(Markup('<text class="{}" x="{}" y="{}">{}</text>').format(side, level.at(x), sheet.top - 3, name))
    ends = _spread([(upright.at(line[-1][1]), name) for name, line in drawn.items() if line], foot)
    kinds = _kinds(drawn, quiet)
    for number, (name, kind) in enumerate(sorted(kinds.items(), key=lambda pair: pair[1], reverse=True)):
        line, last = drawn[name], len(kinds) - 1 - number
        body.append(_line(line, level, upright, kind, points=name in points))
        if line and small:  # many of these end in one point, so that a key says more than labels there
            body.append(_key(name, kind, end + 8, sheet.top + 8 + 17 * last))
        elif line:
            body.append(Markup('<text class="c{}" x="{}" y="{}">{}</text>').format(kind, end + 6, ends[name] + 4, name))
    label = escape(f"{up} over {across}: {', '.join(series)}")
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        sheet.width, sheet.height, label, Markup("").join(body)
    )


def _kinds(names: Iterable[str], quiet: Collection[str]) -> dict[str, str]:
    """What the style sheet calls the series' colours; those that matter come first, and are drawn last, on top."""
    loud = [name for name in names if name not in quiet]
    calm = [name for name in names if name in quiet]
    return {**{name: f"{k % 6}" for k, name in enumerate(loud)}, **{name: f"q{k % 3}" for k, name in enumerate(calm)}}


def _key(name: str, kind: str, x: float, y: float) -> Markup:
    return Markup('<polyline class="l{}" points="{},{} {},{}"/><text class="tick" x="{}" y="{}">{}</text>').format(
        kind, x, y, x + 14, y, x + 19, y + 4, name
    )


class _Axis:
    """From values to pixels."""

    def __init__(self, low: float, high: float, start: float, stop: float, ticks: int, *, whole: bool = False) -> None:
        self.low, self.high = (low, high) if high > low else (low - 0.5, low + 0.5)
        self.start, self.stop, self.count, self.whole = start, stop, ticks, whole

    def at(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self) -> list[float]:
        rough = (self.high - self.low) / self.count
        size = 10 ** math.floor(math.log10(rough))
        factors = (1, 2, 5, 10) if self.whole else (1, 2, 2.5, 5, 10)
        step = next(k * size for k in factors if k * size >= rough * 0.999)
        step = max(1.0, step) if self.whole else step
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _grid(sheet: _Sheet, level: _Axis, upright: _Axis, across: str, up: str, *, logarithmic: bool) -> list[Markup]:
    parts = []
    foot, end = sheet.height - sheet.bottom, sheet.width - sheet.right
    for value in upright.ticks():
        y, text = upright.at(value), f"{10**value:.3g}" if logarithmic else f"{value:g}"
        parts.append(Markup('<line class="rule" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(sheet.left, end, y=y))
        parts.append(Markup('<text class="tick end" x="{}" y="{}">{}</text>').format(sheet.left - 7, y + 4, text))
    for value in level.ticks():
        parts.append(
            Markup('<text class="tick middle" x="{}" y="{}">{}</text>').format(level.at(value), foot + 15, f"{value:g}")
        )
    middle = (sheet.left + end) / 2
    parts.append(Markup('<text class="tick middle" x="{}" y="{}">{}</text>').format(middle, sheet.height - 4, across))
    parts.append(
        Markup('<text class="tick middle" transform="translate(11 {}) rotate(-90)">{}</text>').format(
            (sheet.top + foot) / 2, up
        )
    )
    return parts


def _line(line: Sequence[tuple[float, float]], level: _Axis, upright: _Axis, kind: str, *, points: bool) -> Markup:
    places = [(level.at(x), upright.at(y)) for x, y in line]
    if points or len(places) == 1:
        dot = Markup('<circle class="f{}" cx="{}" cy="{}" r="2"/>')
        return Markup("").join(dot.format(kind, x, y) for x, y in places)
    path = " ".join(f"{x},{y}" for x, y in places)
    return Markup('<polyline class="l{}" points="{}"/>').format(kind, path)


def _spread(ends: Sequence[tuple[float, str]], foot: float, gap: float = 14) -> dict[str, float]:
    """Labels at the ends of their lines, moved apart where they would touch."""
    placed: dict[str, float] = {}
    lowest = -math.inf
    for y, name in sorted(ends):
        placed[name] = lowest = max(y, lowest + gap)
    over = max(0.0, lowest - foot) if placed else 0.0
    return {name: y - over for name, y in placed.items()}
