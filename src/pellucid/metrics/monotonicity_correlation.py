"""Monotonicity correlation: whether what the map says of a cell goes with how unsure the answer is without it."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import refuse_tables
from pellucid.metrics._agreement import spearman
from pellucid.numerics import per_row, places

_CELLS = 8


def monotonicity_correlation(
    values: Map, image: Maps, probe: ScoreQueries, rng: Noise, *, cells: int | None = None, draws: int = 4
) -> MetricResult:
    """Rank correlation, over cells, of the map's absolute sum with how far noise in the cell moves the answer.

    rho(|sum_{i in c} values_i|, 1 / n sum_d (p(x with noise d in c) - p(x))^2), rho being Spearman's. The paper asks it
    of single features and for the expected loss over what they may be, of which the draws are a sample.

    Args:
        values: the maps `[batch, *axes]`.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the probability of the target's class.
        rng: random draws of the noise, the same for all maps and pictures but for the mean and deviation of each
            channel.
        cells: number of cells of the grid, vertically and horizontally; None is 8, or as many as the shorter side has
            pixels.
        draws: n, how often each cell is replaced.

    Returns:
        Spearman's correlation, -1 to 1; NaN where the sums or the moves are all alike.

    Raises:
        BadOption: fewer than 2 cells a side, more than pixels, or no draw.
        Refused: tables, whose columns have units of their own.
    """
    refuse_tables(METRIC.id, probe, "it fills columns with noise of the whole row. Use faithfulness-correlation")
    axes = values.ndim - 1
    cells = min(round(_CELLS ** (2 / axes)), *values.shape[1:]) if cells is None else cells
    if not 2 <= cells <= min(values.shape[1:]) or draws < 1:
        raise BadOption(
            f"Expected cells from 2 to the picture's shorter side, and draws >= 1, for {METRIC.id}; got {cells} and "
            f"{draws}."
        )
    cell = _cell_of_pixels(values, cells)
    mean, deviation = image.mean(places(image), keepdim=True), image.std(places(image), keepdim=True)

    def disturb(rows: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        chosen = (cell == per_row((numbers - 1) // draws, rows[:, 0]))[:, None]  # variant 0 is of cell -1: none
        return torch.where(chosen, mean[samples] + deviation[samples] * rng.normal(numbers, rows), rows)

    answer = probe.probability(1 + cells**axes * draws, disturb, shared=True).score
    moved = (answer[:, 1:] - answer[:, :1]).square().reshape(len(answer), cells**axes, draws).mean(2)
    told = values.new_zeros(len(values), cells**axes).double().index_add(1, cell.flatten(), values.flatten(1).double())
    return MetricResult(spearman(told.abs(), moved))


def _cell_of_pixels(values: Map, cells: int) -> Tensor:
    """The number of the cell of each pixel, int64 `[*axes]`; their sides differ by one pixel at most."""
    along = [torch.arange(n, device=values.device) * cells // n for n in values.shape[1:]]
    return reduce(lambda known, more: known[..., None] * cells + more, along)


METRIC = Metric(
    monotonicity_correlation,
    id="monotonicity-correlation",
    title="Monotonicity correlation",
    reference=Reference("arXiv:2007.07584", "monotonicity"),
    better="higher",
    caveat="A cell of noise is unlike any picture that the network was trained on, and a class that it is sure of "
    "moves little: with small moves the ranks are those of rounding.",
)
