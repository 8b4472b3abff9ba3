"""A comparison as a figure for a paper: pictures by methods, with the scores of each map below it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pellucid.comparison.comparison import Compared, Comparison
from pellucid.contracts import axes_of
from pellucid.figures import FigureLook, FigurePanel, FigureRow, figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(comparison: Comparison, **look: Any) -> Figure:
    """The pictures whose maps were kept, one row each; see `figures.FigureLook` for how it can look."""
    return figure_of([_row(comparison, each) for each in comparison.pictures if each.maps], FigureLook(**look))


def _row(comparison: Comparison, compared: Compared) -> FigureRow:
    titles = {method.id: method.title for method in comparison.methods}
    maps = tuple(
        FigurePanel(
            titles.get(name, name),
            _scores(comparison, compared, name),
            values.detach().cpu(),
            axes_of(values.shape, comparison.model.axes),
            picture=compared.picture,
        )
        for name, values in compared.maps.items()
    )
    original = None
    if compared.picture is not None:
        original = replace(maps[0], title="", below=(compared.name, compared.target), plain=True)
    return FigureRow(compared.name, original, maps)


def _scores(comparison: Comparison, compared: Compared, method: str) -> tuple[str, ...]:
    """One line for each metric that has an answer for this map."""
    found = {score.metric.id: score.mean for score in compared.evaluation if score.subject == method}
    known = ((metric, found.get(metric.id, math.nan)) for metric, _ in comparison.metrics)
    return tuple(f"{metric.title.lower()}: {mean:.3g}" for metric, mean in known if not math.isnan(mean))
