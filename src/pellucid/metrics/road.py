"""ROAD: what removing the most and the least important pixels costs, without the holes giving it away."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import refuse_tables
from pellucid.metrics._imputation import imputed
from pellucid.numerics import per_row, ranks


def road(values: Map, probe: ScoreQueries, rng: Noise, *, steps: int = 9, noise: float = 0.01) -> MetricResult:
    """Half the difference of the probability without the least and without the most important pixels.

    Mean over the percentiles 10, 20, ..., 90 of (p(x, least first) - p(x, most first)) / 2. Removed pixels become noisy
    linear imputations: each the weighted mean of its eight neighbours, 1/6 for those at its sides and 1/12 at its
    corners, solved exactly for all removed pixels together, plus noise, so that the shape of the hole says little. In
    signals and volumes a neighbour likewise counts half as much for each further axis along which it is a step away.

    Args:
        values: the maps `[batch, *axes]`; only their order counts.
        probe: access to the network, asked for the probability of the target's class.
        rng: random draws of the noise, the same for all maps and pictures.
        steps: number of percentiles, equally spaced between none and all; 9 are the paper's.
        noise: standard deviation in the model's normalised space.

    Returns:
        -0.5 to 0.5. extras `curve` `[batch, steps]`: half the difference at each percentile, `most` and `least`: the
        probabilities without them; axis: the share that is removed.

    Raises:
        BadOption: no step, more than there are pixels between none and all, or negative noise.
        Refused: tables, whose columns have no neighbours.
    """
    refuse_tables(METRIC.id, probe, "it makes columns of those beside them. Use deletion")
    pixels = values[0].numel()
    if not 1 <= steps < pixels or noise < 0:
        raise BadOption(f"Expected steps from 1 to {pixels - 1} and noise >= 0 for {METRIC.id}, got {steps}, {noise}.")
    place, shares = ranks(values), torch.arange(1, steps + 1, device=values.device) / (steps + 1)
    counts = (shares * pixels).round().long()

    def change(rows: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        of_each = place[samples]
        count, most = per_row(counts[numbers % steps], of_each), per_row(numbers < steps, of_each)
        removed = torch.where(most, of_each < count, of_each >= pixels - count)
        drawn = noise * rng.normal(numbers, rows)
        return torch.where(removed[:, None], imputed(rows, removed) + drawn, rows)

    most, least = probe.probability(2 * steps, change).score.chunk(2, 1)
    curve = (least - most) / 2
    return MetricResult(
        curve.mean(1), {"curve": curve, "most": most, "least": least}, tuple((counts.double() / pixels).tolist())
    )


METRIC = Metric(
    road,
    id="road",
    title="ROAD",
    reference=Reference("arXiv:2202.00449", "noisy linear imputation, both orders"),
    better="higher",
    caveat="Takes a sparse system for each map, picture and percentile, so it is slower than its passes; a large "
    "smooth imputation is still no natural picture.",
)
