"""mu-Fidelity: whether what the map says of cells of the picture goes with what hiding them costs."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import fill_of
from pellucid.metrics._agreement import spearman
from pellucid.metrics._subsets import check_subsets, drops, random_parts, sums

_CELLS = 9


def mu_fidelity(
    values: Map,
    image: Maps,
    probe: ScoreQueries,
    rng: Noise,
    *,
    subsets: int = 128,
    cells: int | None = None,
    share: float = 0.2,
    baseline: float | str | Tensor = 0.0,
) -> MetricResult:
    """Rank correlation, over random sets of cells, of the map's sum with the fall of the score when they are hidden.

    As `faithfulness-correlation`, with a grid of cells instead of single pixels and Spearman's correlation, as the
    measure is used for pictures.

    Args:
        values: the maps `[batch, *axes]`, read as contributions that add up.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the target's score.
        rng: random draws of the sets, the same for all maps and pictures.
        subsets: number of sets; public code takes 200.
        cells: number of cells of the grid, vertically and horizontally; None is 9, or as many as the shorter side has
            pixels.
        share: share of the cells that are hidden, above 0 and below 1.
        baseline: what hides (see `pellucid.masking.fills`).

    Returns:
        Spearman's correlation, -1 to 1; NaN where the sums or the scores are all alike.

    Raises:
        BadOption: fewer than 3 sets, a grid that does not fit, a share that hides none or all, or an unknown baseline.
    """
    check_subsets(METRIC.id, subsets)
    axes = values.ndim - 1
    if cells is None:
        side = min(round(_CELLS ** (2 / axes)), *values.shape[1:])
        cells = values.shape[1] if probe.is_tabular else side
    size = round(share * cells**axes)
    if not 1 <= cells <= min(values.shape[1:]) or not 1 <= size < cells**axes:
        raise BadOption(
            f"Expected cells from 1 to the picture's shorter side, and a share that hides some and not all of them, "
            f"for {METRIC.id}; got {cells} and {share}."
        )
    coarse = random_parts(values.new_empty(1, *[cells] * axes), rng, torch.full((subsets,), size))
    masks = _enlarged(coarse, values.shape)
    cost = drops(probe, fill_of(METRIC.id, baseline, image, probe, rng), masks)
    return MetricResult(spearman(sums(values, masks), cost))


def _enlarged(coarse: Tensor, shape: torch.Size) -> Tensor:
    """Cells as pixels; their sides differ by one at most."""
    for axis, length in enumerate(shape[1:], 1):
        coarse = coarse.index_select(axis, torch.arange(length, device=coarse.device) * coarse.shape[axis] // length)
    return coarse


METRIC = Metric(
    mu_fidelity,
    id="mu-fidelity",
    title="mu-Fidelity",
    reference=Reference("arXiv:2005.00631", "faithfulness; cells and ranks as in arXiv:2009.04521"),
    better="higher",
    caveat="Holes in a grid are unlike any picture that the network was trained on.",
)
