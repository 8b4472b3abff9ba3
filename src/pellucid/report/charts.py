"""Charts as SVG, to stand in a page: curves of one unit over a shared axis, with direct labels and no script."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 520, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 96, 12, 34
_TICKS = 4


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
    """
    drawn = {name: [(x, y) for x, y in line if math.isfinite(x) and math.isfinite(y)] for name, line in series.items()}
    if logarithmic:
        drawn = {name: [(x, math.log10(y)) for x, y in line if y > 0] for name, line in drawn.items()}
    xs = [x for line in drawn.values() for x, _ in line]
    ys = [y for line in drawn.values() for _, y in line]
    if not xs:
        return Markup("<p class='why'>Nothing to draw.</p>")
    level = _Axis(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT)
    upright = _Axis(min(ys) if low is None else low, max(ys) if high is None else high, _HEIGHT - _BOTTOM, _TOP)
    body = [*_grid(level, upright, across, up, logarithmic=logarithmic)]
    for name, x in (marks or {}).items():
        body.append(
            Markup('<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
                level.at(x), _TOP, _HEIGHT - _BOTTOM
            )
        )
        body.append(Markup('<text class="tick" x="{}" y="{}">{}</text>').format(level.at(x) + 4, _TOP + 10, name))
    ends = _spread([(upright.at(line[-1][1]), name) for name, line in drawn.items() if line])
    for number, (name, line) in enumerate(drawn.items()):
        body.append(_line(line, level, upright, number, points=name in points))
        if line:
            body.append(
                Markup('<text class="c{}" x="{}" y="{}">{}</text>').format(
                    number % 6, _WIDTH - _RIGHT + 6, ends[name] + 4, name
                )
            )
    label = escape(f"{up} over {across}: {', '.join(series)}")
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, label, Markup("").join(body)
    )


class _Axis:
    """From values to pixels."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        self.low, self.high = (low, high) if high > low else (low - 0.5, low + 0.5)
        self.start, self.stop = start, stop

    def at(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self) -> list[float]:
        rough = (self.high - self.low) / _TICKS
        size = 10 ** math.floor(math.log10(rough))
        step = next(k * size for k in (1, 2, 2.5, 5, 10) if k * size >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _grid(level: _Axis, upright: _Axis, across: str, up: str, *, logarithmic: bool) -> list[Markup]:
    parts = []
    for value in upright.ticks():
        y, text = upright.at(value), f"{10**value:.3g}" if logarithmic else f"{value:g}"
        parts.append(
            Markup('<line class="rule" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(_LEFT, _WIDTH - _RIGHT, y=y)
        )
        parts.append(Markup('<text class="tick end" x="{}" y="{}">{}</text>').format(_LEFT - 7, y + 4, text))
    for value in level.ticks():
        parts.append(
            Markup('<text class="tick middle" x="{}" y="{}">{}</text>').format(
                level.at(value), _HEIGHT - _BOTTOM + 15, f"{value:g}"
            )
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(Markup('<text class="tick middle" x="{}" y="{}">{}</text>').format(middle, _HEIGHT - 4, across))
    parts.append(
        Markup('<text class="tick middle" transform="translate(11 {}) rotate(-90)">{}</text>').format(
            (_TOP + _HEIGHT - _BOTTOM) / 2, up
        )
    )
    return parts


def _line(line: Sequence[tuple[float, float]], level: _Axis, upright: _Axis, number: int, *, points: bool) -> Markup:
    places = [(level.at(x), upright.at(y)) for x, y in line]
    if points or len(places) == 1:
        dot = Markup('<circle class="f{}" cx="{}" cy="{}" r="2"/>')
        return Markup("").join(dot.format(number % 6, x, y) for x, y in places)
    path = " ".join(f"{x},{y}" for x, y in places)
    return Markup('<polyline class="l{}" points="{}"/>').format(number % 6, path)


def _spread(ends: Sequence[tuple[float, str]], gap: float = 14) -> dict[str, float]:
    """Labels at the ends of their lines, moved apart where they would touch."""
    placed: dict[str, float] = {}
    lowest = -math.inf
    for y, name in sorted(ends):
        placed[name] = lowest = max(y, lowest + gap)
    over = max(0.0, lowest - (_HEIGHT - _BOTTOM)) if placed else 0.0
    return {name: y - over for name, y in placed.items()}
