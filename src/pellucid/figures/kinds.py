"""The record of how panels of one kind of input are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pellucid.figures.panel import FigureLook, FigurePanel
from pellucid.pictures import ColourScale

Place = tuple[float, float, float, float]
"""Left, bottom, width and height in inches."""
NewAxes = Callable[[Place], Axes]
"""A function that adds a plot to the figure."""


@dataclass(frozen=True)
class Kind:
    """How panels of one kind of input are drawn.

    Attributes:
        columns: panels side by side at most, unless said otherwise.
        height: a function of a panel, a width and the look that gives the height that it needs, both in inches.
        draw: a function that draws a panel with its scale into a place.
        ramp: colours of the bar, uint8 `[256, 3]`, for scales that are signed or not; None where lengths tell it.
        original: whether the input alone is worth a panel.
    """

    columns: int
    height: Callable[[FigurePanel, float, FigureLook], float]
    draw: Callable[[NewAxes, Place, FigurePanel, ColourScale, FigureLook], None]
    ramp: Callable[[bool, FigureLook], NDArray[np.uint8]] | None
    original: bool
