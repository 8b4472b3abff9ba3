"""The class that the model predicts at each position of a hidden square, as a drawing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pellucid.report.views import MapView

_LARGEST = 1600  # cells; a finer grid is in maps.npz only
_NAMED = 5


@dataclass(frozen=True)
class GridCell:
    """One position: row and column of the grid, place in the legend, class name, score, strength of its colour."""

    row: int
    column: int
    rank: int
    name: str
    score: float
    strength: float


@dataclass(frozen=True)
class ClassesGrid:
    """Cells, and the classes by how often they come first: name and number of positions.

    `rank` of a cell is the place of its class in `legend`, at most the last, which then stands for all others.
    """

    target: str
    rows: int
    columns: int
    cells: tuple[GridCell, ...]
    legend: tuple[tuple[str, int], ...]


def classes_grid(finding: MapView) -> ClassesGrid | None:
    """The grid of a method whose extras are `scores` and `classes` `[row, column]`; None for all others."""
    scores, classes = finding.extras.get("scores"), finding.extras.get("classes")
    if scores is None or classes is None or scores.ndim != 2 or scores.shape != classes.shape:
        return None
    if not 0 < scores.numel() <= _LARGEST:
        return None
    numbers, model = scores.detach().double().cpu(), finding.attribution.model
    low, spread = float(numbers.min()), float(numbers.max() - numbers.min()) or 1.0
    tally = Counter(classes.flatten().tolist()).most_common()
    rank = {index: min(place, _NAMED) for place, (index, _) in enumerate(tally)}
    cells = tuple(
        GridCell(row, column, rank[index], model.class_name(index), score, round(0.3 + 0.7 * (score - low) / spread, 3))
        for row, pair in enumerate(zip(numbers.tolist(), classes.tolist(), strict=True))
        for column, (score, index) in enumerate(zip(*pair, strict=True))
    )
    legend = [(model.class_name(index), number) for index, number in tally[:_NAMED]]
    if len(tally) > _NAMED:
        legend.append((f"{len(tally) - _NAMED} other classes", sum(number for _, number in tally[_NAMED:])))
    rows, columns = scores.shape
    return ClassesGrid(finding.target, rows, columns, cells, tuple(legend))
