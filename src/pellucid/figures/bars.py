"""Maps of rows of tables: signed bars, the largest first."""

from __future__ import annotations

import numpy as np

from pellucid.figures.kinds import Kind, NewAxes, Place
from pellucid.figures.panel import FigureLook, FigurePanel
from pellucid.figures.texts import LEADING, SMALL, fitted, wide
from pellucid.modalities.colours import AGAINST, FOR
from pellucid.pictures import ColourScale
from pellucid.pictures.colour import as_array

_MOST, _LINE, _AXIS = 12, 0.14, SMALL * LEADING + 0.06
_OTHERS = "#9a9da3"


def height(panel: FigurePanel, width: float, look: FigureLook) -> float:  # noqa: ARG001 - bars are as high at any width
    """A line for each bar, and the axis."""
    return _LINE * min(len(panel.values), _MOST + 1) + _AXIS


def draw(new_axes: NewAxes, place: Place, panel: FigurePanel, scale: ColourScale, look: FigureLook) -> None:
    """Names and bars; beyond the twelve largest, the others stand together as one sum in grey."""
    left, bottom, width, high = place
    values = as_array(panel.values)
    finite = np.isfinite(values)
    order = np.argsort(-np.where(finite, np.abs(values), np.inf), kind="stable")  # what is not finite is seen first
    shown, others = order[:_MOST], order[_MOST:]
    names = [_named(panel, int(k)) + ("" if finite[k] else ": not finite") for k in shown]
    bars = [float(values[k]) if finite[k] else 0.0 for k in shown]
    colours = ["#{:02x}{:02x}{:02x}".format(*(FOR if bar > 0 else AGAINST)) for bar in bars]
    if len(others):
        names, bars = [*names, f"sum of {len(others)} others"], [*bars, float(values[others].sum())]
        colours.append(_OTHERS)
    room = min(0.45 * width, max(wide(name, SMALL) for name in names) + 0.08)
    axes = new_axes((left + room, bottom + _AXIS, width - room, high - _AXIS))
    axes.barh(range(len(bars)), bars, color=colours, height=0.7)
    axes.axvline(0, color="#1a1b1e", linewidth=0.5)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    if look.scale == "shared" and not scale.blank:
        axes.set_xlim(1.05 * scale.low, 1.05 * scale.high)
    axes.set_yticks(range(len(bars)), ["".join(fitted(name, room - 0.05, SMALL, 1)) for name in names])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1.5)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_linewidth(0.4)


def _named(panel: FigurePanel, number: int) -> str:
    known = () if panel.sample is None else panel.sample.geometry.get("columns", ())
    return str(known[number]) if number < len(known) else f"feature {number}"


KIND = Kind(columns=3, height=height, draw=draw, ramp=None, original=False)
