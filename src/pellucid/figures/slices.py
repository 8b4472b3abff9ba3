"""Maps of volumes: the three planes through the strongest evidence."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from pellucid.figures.kinds import Kind, NewAxes, Place
from pellucid.figures.panel import FigureLook, FigurePanel
from pellucid.figures.planes import as_grey, on_grey, ramp, show
from pellucid.figures.texts import LEADING, SMALL
from pellucid.pictures import ColourScale, heat

_GAP, _LABEL = 0.06, SMALL * LEADING + 0.02
_HIGHEST = 2.4


def strongest_place(values: Tensor) -> tuple[int, int, int]:
    """Where a map `[depth, row, column]` is largest in size; values that are not finite do not count."""
    sizes = torch.where(torch.isfinite(values), values.abs(), 0.0)
    return cast("tuple[int, int, int]", tuple(int(k) for k in np.unravel_index(int(sizes.argmax()), values.shape)))


def height(panel: FigurePanel, width: float, look: FigureLook) -> float:  # noqa: ARG001 - the same in every style
    """That of the highest plane and the line above the planes."""
    return _inches(panel, width)[1] + _LABEL


def draw(new_axes: NewAxes, place: Place, panel: FigurePanel, scale: ColourScale, look: FigureLook) -> None:
    """Three planes at one scale of length, each with thin lines where the others cut it."""
    left, bottom, width, high = place
    step, _ = _inches(panel, width, high - _LABEL)
    spacing, at = _spacing(panel), strongest_place(panel.values)
    grey = None if look.style == "map" or panel.given is None else as_grey(panel.given)
    for axis in range(3):
        down, across = (other for other in range(3) if other != axis)
        size = [panel.values.shape[k] * spacing[k] * step for k in (across, down)]
        axes = new_axes((left, bottom + high - _LABEL - size[1], size[0], size[1]))
        plane = panel.values.select(axis, at[axis])
        image = heat(plane, scale=scale) if grey is None else on_grey(plane, np.take(grey, at[axis], axis), scale)
        show(axes, image)
        axes.set_aspect("auto")
        axes.axvline(at[across], color="white", linewidth=0.4, alpha=0.7)
        axes.axhline(at[down], color="white", linewidth=0.4, alpha=0.7)
        text = f"{panel.axes[axis].name} {at[axis]}"
        axes.text(0, 1 + 0.02 / size[1], text, transform=axes.transAxes, fontsize=SMALL, va="bottom", parse_math=False)
        left += size[0] + _GAP


def _inches(panel: FigurePanel, width: float, highest: float = _HIGHEST) -> tuple[float, float]:
    """Inches per unit of length, and the height of the highest plane."""
    depth, row, column = (axis.size * step for axis, step in zip(panel.axes, _spacing(panel), strict=True))
    step = min((width - 2 * _GAP) / (column + column + row), highest / max(depth, row))
    return step, step * max(depth, row)


def _spacing(panel: FigurePanel) -> tuple[float, ...]:
    """Length of a voxel along each axis, where the scan says it; 1 otherwise."""
    units = {} if panel.sample is None else panel.sample.geometry.get("units", {})
    return tuple(float(units.get(axis.name, (1.0, ""))[0]) for axis in panel.axes)


KIND = Kind(columns=1, height=height, draw=draw, ramp=ramp, original=False)
