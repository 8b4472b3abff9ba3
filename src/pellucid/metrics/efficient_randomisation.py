"""Efficient randomisation: whether maps of a network that knows nothing are more complex."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Metric, MetricResult, Reattribution, Reference
from pellucid.errors import BadOption


def efficient_randomisation(values: Map, explain: Reattribution, *, bins: int = 100) -> MetricResult:
    """How much the map's complexity rises when all weights of the network are drawn at random.

    (H(e') - H(e)) / H(e), with H the entropy of a histogram of the map's values between its smallest and largest, and
    e' the map of the network with normal weights of each tensor's mean and deviation. One random network instead of a
    cascade of them, and no question of how alike two maps are.

    Args:
        values: e, the maps `[batch, row, column]`.
        explain: function that makes the maps anew.
        bins: number of bins of the histogram, at least 2.

    Returns:
        The relative rise, at least -1; NaN where H(e) is 0. extras `before` and `after` `[batch]`: H in nats.

    Raises:
        BadOption: fewer than two bins.
        Refused: weights that cannot be exchanged.
    """
    if bins < 2:
        raise BadOption(f"Expected bins >= 2 for {METRIC.id}, got {bins}.")
    before, after = (histogram_entropy(maps, bins) for maps in (values, explain.with_drawn(explain.layers())))
    rise = ((after - before) / before).where(before > 0, torch.nan)
    return MetricResult(rise, {"before": before, "after": after})


def histogram_entropy(maps: Map, bins: int) -> Tensor:
    """The entropy in nats of each map's values in equal bins from the smallest to the largest, `[n]`."""
    found = []
    for row in maps.flatten(1).double():
        low, high = row.min(), row.max()
        place = ((row - low) / (high - low) * bins).long().clamp(max=bins - 1) if high > low else row.long() * 0
        share = torch.bincount(place, minlength=bins).double() / len(row)
        found.append(-torch.xlogy(share, share).sum())
    return torch.stack(found)


METRIC = Metric(
    efficient_randomisation,
    id="efficient-randomisation",
    title="Efficient randomisation of the weights",
    reference=Reference("arXiv:2401.06465", "eMPRT"),
    better="higher",
    caveat="Takes it that what a network has learned makes maps simple; a map of noise cannot become more complex.",
)
