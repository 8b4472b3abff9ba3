"""Maps of signals, and of all else along one axis: the line over ground that the map colours."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pellucid.contracts import Sample
from pellucid.figures.kinds import Kind, NewAxes, Place
from pellucid.figures.panel import FigureLook, FigurePanel
from pellucid.figures.texts import LEADING, SMALL, fitted
from pellucid.modalities.signals.draw import ground
from pellucid.modalities.signals.scales import envelope, time_of
from pellucid.pictures import ColourScale
from pellucid.pictures.colour import as_array

_NAMES, _AXIS = 0.45, 2 * SMALL * LEADING + 0.05
_ROW = {1: 0.7, 2: 0.5, 3: 0.42}
_MOST = 16
_INK = "#1a1b1e"


def height(panel: FigurePanel, width: float, look: FigureLook) -> float:  # noqa: ARG001 - signals are as high at any width
    """That of all its channels and the axis of time."""
    count = len(_lines(panel))
    return count * _ROW.get(count, 0.3) + _AXIS


def draw(new_axes: NewAxes, place: Place, panel: FigurePanel, scale: ColourScale, look: FigureLook) -> None:
    """A plot for each channel, all with the same ground; only the last has an axis of time."""
    left, bottom, width, high = place
    lines = _lines(panel)
    row = (high - _AXIS) / len(lines)
    columns = max(2, min(len(panel.values), round((width - _NAMES) * look.dpi)))
    values = as_array(panel.values)
    colours = ground(values, scale.place(values), columns, 1)
    length, unit = _length(panel)
    for number, line in enumerate(lines):
        above = len(lines) - 1 - number
        axes = new_axes((left + _NAMES, bottom + _AXIS + above * row, width - _NAMES, row * 0.94))
        low, top = float(np.nanmin(line)), float(np.nanmax(line))
        margin = 0.08 * (top - low) or 1.0
        extent = (0.0, length, low - margin, top + margin)
        axes.imshow(colours, interpolation="none", aspect="auto", extent=extent)
        if look.style == "overlay":
            _draw_line(axes, line, length, columns)
        _dress(axes, _name(panel, number, len(lines)), last=above == 0, unit=unit)


def ramp(signed: bool, look: FigureLook) -> NDArray[np.uint8]:  # noqa: ARG001 - the ground is the same without a line
    """The colours of the ground."""
    values = np.linspace(-1.0 if signed else 0.0, 1.0, 256)
    colours: NDArray[np.uint8] = ground(values, values, 256, 1)[0]
    return colours


def _lines(panel: FigurePanel) -> NDArray[np.float64]:
    """The input `[channel, time]`, or the map itself where the input is not known; the first channels of many."""
    lines = as_array(panel.values[None] if panel.given is None else panel.given)[:_MOST]
    return np.where(np.isfinite(lines), lines, 0.0)


def _draw_line(axes: Axes, line: NDArray[np.float64], length: float, columns: int) -> None:
    """All of a short line; of a long one the range in every column of pixels."""
    x, low, high = envelope(line, columns)
    points = np.repeat(x * length, 2), np.stack([low, high], 1).flatten()
    axes.plot(*(points if len(line) > columns else (x * length, low)), color=_INK, linewidth=0.6)


def _length(panel: FigurePanel) -> tuple[float, str]:
    """How long the axis is, and what it is called."""
    name, size = panel.axes[0].name, panel.axes[0].size
    if isinstance(panel.sample, Sample) and name == "time":
        length, unit = time_of(panel.sample)
        return length, f"{name} ({unit})"
    return float(size), f"{name} (samples)" if name == "time" else name


def _name(panel: FigurePanel, number: int, count: int) -> str:
    if panel.given is None:
        return "the map"
    known = () if panel.sample is None else panel.sample.channels
    return known[number] if number < len(known) else f"channel {number}" if count > 1 else ""


def _dress(axes: Axes, name: str, *, last: bool, unit: str) -> None:
    axes.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1.5, labelbottom=last, bottom=last)
    axes.locator_params(axis="y", nbins=2)
    axes.yaxis.set_visible(not name)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("bottom", "left"))
        spine.set_linewidth(0.4)
    said = "\n".join(fitted(name, _NAMES - 0.05, SMALL))
    axes.text(-0.01, 0.5, said, transform=axes.transAxes, fontsize=SMALL, ha="right", va="center", parse_math=False)
    if last:
        axes.set_xlabel(unit, fontsize=SMALL, labelpad=1.5)


KIND = Kind(columns=1, height=height, draw=draw, ramp=ramp, original=False)
