"""Faithfulness correlation: whether what the map says of random pixels goes with what hiding them costs."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import fill_of
from pellucid.metrics._agreement import pearson
from pellucid.metrics._subsets import check_subsets, drops, random_parts, sums


def faithfulness_correlation(
    values: Map,
    image: Maps,
    probe: ScoreQueries,
    rng: Noise,
    *,
    subsets: int = 100,
    share: float = 0.1,
    baseline: float | str | Tensor = 0.0,
) -> MetricResult:
    """Correlation, over random subsets of pixels, of the map's sum with the fall of the score when they are hidden.

    corr_S(sum_{i in S} values_i, S(x) - S(x without S)), subsets of one size, the same for all maps and pictures.

    Args:
        values: the maps `[batch, *axes]`, read as contributions that add up.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the target's score.
        rng: random draws of the subsets.
        subsets: number of subsets.
        share: share of the pixels that a subset has, above 0 and below 1.
        baseline: what hides (see `pellucid.masking.fills`).

    Returns:
        Pearson's correlation, -1 to 1; NaN where the sums or the scores are all alike.

    Raises:
        BadOption: fewer than 3 subsets, a share out of range or of less than a pixel, or an unknown baseline.
    """
    check_subsets(METRIC.id, subsets)
    size = round(share * values[0].numel())
    if not 0 < share < 1 or size < 1:
        raise BadOption(f"Expected 0 < share < 1 and at least one pixel for {METRIC.id}, got {share}.")
    masks = random_parts(values, rng, torch.full((subsets,), size))
    cost = drops(probe, fill_of(METRIC.id, baseline, image, probe, rng), masks)
    return MetricResult(pearson(sums(values, masks), cost))


METRIC = Metric(
    faithfulness_correlation,
    id="faithfulness-correlation",
    title="Faithfulness correlation",
    reference=Reference("arXiv:2005.00631", "faithfulness"),
    better="higher",
    caveat="Sums over scattered pixels are nearly alike for every map, so what is left to correlate is small and "
    "noisy: look at the interval.",
)
