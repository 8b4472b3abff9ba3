"""Sufficiency: how much of the answer is missing when only the first pixels of the map are seen."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import fill_of
from pellucid.metrics._curves import in_order

_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Those of the paper, of all tokens there and of all pixels here."""


def sufficiency(
    values: Map, image: Maps, probe: ScoreQueries, rng: Noise, *, baseline: float | str | Tensor = 0.0
) -> MetricResult:
    """How much probability is missing when only the largest values' pixels are seen, on the mean of five shares.

    mean over k of p(x) - p(x_k), where x_k shows the first k = 1, 5, 10, 20 and 50 % of the pixels. Below 0 where the
    answer is surer without the rest.

    Args:
        values: the maps `[batch, *axes]`; only their order counts.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the probability of the target's class.
        rng: random draws of the noise of the baseline `noise`.
        baseline: what hides the rest (see `pellucid.masking.fills`).

    Returns:
        -1 to 1. extras `curve` `[batch, 5]`: p(x_k), and `whole` `[batch]`: p(x); axis: the shares.

    Raises:
        BadOption: an unknown baseline, or fewer than 100 pixels.
    """
    pixels = values[0].numel()
    if pixels < 100:
        raise BadOption(f"{METRIC.id} shows 1 % of the pixels and more, so it needs at least 100, got {pixels}.")
    fill = fill_of(METRIC.id, baseline, image, probe, rng)
    counts = (torch.tensor((*_SHARES, 1.0), dtype=torch.float64) * pixels).round().long().to(values.device)
    found = probe.probability(len(counts), in_order(values, counts, fill, shown=True)).score
    curve, whole = found[:, :-1], found[:, -1]
    return MetricResult((whole[:, None] - curve).mean(1), {"curve": curve, "whole": whole}, _SHARES)


METRIC = Metric(
    sufficiency,
    id="sufficiency",
    title="Sufficiency",
    reference=Reference("arXiv:1911.03429", "sufficiency, over shares of the input"),
    better="lower",
    caveat="A few pixels on a plain ground are unlike any picture that the network was trained on.",
)
