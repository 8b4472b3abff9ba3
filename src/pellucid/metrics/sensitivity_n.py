"""Sensitivity-n: whether the map's sums are the score's falls, for parts of every size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import fill_of
from pellucid.metrics._agreement import pearson
from pellucid.metrics._subsets import check_subsets, drops, random_parts, sums

_MOST = 0.8
"""The largest subsets, as a share of the pixels: the paper's figures end there too."""


def sensitivity_n(
    values: Map,
    image: Maps,
    probe: ScoreQueries,
    rng: Noise,
    *,
    sizes: int = 6,
    subsets: int = 30,
    baseline: float | str | Tensor = 0.0,
) -> MetricResult:
    """Correlation of the map's sum over n random pixels with the fall of the score without them, for several n.

    A map has sensitivity-n when both are equal for every subset of n pixels; that needs a linear model, so the paper
    measures Pearson's correlation for each n. The sizes go from 1 % to 80 % of the pixels in equal ratios.

    Args:
        values: the maps `[batch, *axes]`, read as contributions that add up.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the target's score, before softmax as in the paper.
        rng: random draws of the subsets, the same for all maps and pictures.
        sizes: number of sizes n.
        subsets: number of subsets of each size; the paper takes 100.
        baseline: what hides; the paper's is 0 (see `pellucid.masking.fills`).

    Returns:
        The mean correlation over the sizes, -1 to 1; NaN where it is defined for none. extras `curve` `[batch, sizes]`:
        that of each; axis: n as a share of the pixels.

    Raises:
        BadOption: no size, fewer than 3 subsets, or an unknown baseline.
    """
    check_subsets(METRIC.id, subsets)
    if sizes < 1:
        raise BadOption(f"Expected sizes >= 1 for {METRIC.id}, got {sizes}.")
    pixels = values[0].numel()
    shares = torch.logspace(-2, math.log10(_MOST), sizes, dtype=torch.float64)
    counts = (shares * pixels).round().long().clamp(1, pixels - 1)
    masks = random_parts(values, rng, counts.repeat_interleave(subsets))
    cost = drops(probe, fill_of(METRIC.id, baseline, image, probe, rng), masks)
    found = pearson(*(each.reshape(len(each), sizes, subsets) for each in (sums(values, masks), cost)))
    return MetricResult(found.nanmean(1), {"curve": found}, tuple((counts / pixels).tolist()))


METRIC = Metric(
    sensitivity_n,
    id="sensitivity-n",
    title="Sensitivity-n",
    reference=Reference("arXiv:1711.06104", "sensitivity-n"),
    better="higher",
    caveat="Asks whether values add up to the score; maps that were never meant to, such as CAMs, fall short of it "
    "without being wrong about where.",
)
