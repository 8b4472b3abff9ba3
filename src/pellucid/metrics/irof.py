"""IROF: how fast the answer goes when superpixels are removed in the order of the map."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import Players, fill_of
from pellucid.metrics._curves import equal_steps
from pellucid.numerics import ranks

_REGIONS, _STEPS = 64, 16


def irof(
    values: Map,
    image: Maps,
    probe: ScoreQueries,
    rng: Noise,
    *,
    regions: int | str | Tensor | None = None,
    steps: int | None = None,
    baseline: float | str | Tensor = "mean",
) -> MetricResult:
    """The area over the probability while superpixels are removed, those with the largest mean value first.

    1 - area under p(x_l) / p(x), x_l without the first l regions; probabilities above the picture's own count as they
    are. The paper cuts pictures by SLIC and removes regions one by one.

    Args:
        values: the maps `[batch, *axes]`; the mean over each region counts.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the probability of the target's class.
        rng: random draws of the noise of the baseline `noise`.
        regions: a number of superpixels, a grid such as `7x7`, or a label map (see `pellucid.masking.regions`); None is
            64 superpixels, or on small pictures a grid of about as many cells.
        steps: number of times that the probability is asked, at most once for each region; None is 16, or once for
            each.
        baseline: what hides a region; the paper's is the picture's mean colour (see `pellucid.masking.fills`).

    Returns:
        The area over the curve, at most 1; NaN where p(x) is 0. extras `curve` `[batch, steps + 1]`: p(x_l) / p(x);
        axis: the share of the regions that is removed.

    Raises:
        BadOption: no step, more steps than regions, regions that do not fit, or an unknown baseline.
    """
    parts = probe.regions(METRIC.id, regions, _REGIONS)
    steps = min(_STEPS, parts.count) if steps is None else steps
    if not 1 <= steps <= parts.count:
        raise BadOption(f"Expected steps from 1 to {parts.count}, the number of regions, for {METRIC.id}, got {steps}.")
    if parts.by_channel:
        raise BadOption(f"{METRIC.id} sums maps over regions, and maps have no channels. Choose other regions.")
    players, labels = Players(parts, fill_of(METRIC.id, baseline, image, probe, rng)), parts.labels.flatten(1)
    zero = values.new_zeros(len(values), parts.count)
    sums = zero.scatter_add(1, labels, values.flatten(1))
    means = sums / zero.scatter_add(1, labels, torch.ones_like(values.flatten(1)))
    place, counts = ranks(means), equal_steps(parts.count, steps, values)

    change = players.change(lambda samples, numbers: place[samples] >= counts[numbers, None])
    found = probe.probability(len(counts), change).score
    curve = (found / found[:, :1]).where(found[:, :1] > 0, found.new_tensor(float("nan")))
    axis = counts.to(curve) / parts.count
    area = 1 - torch.trapezoid(curve, axis, dim=1)
    return MetricResult(area, {"curve": curve}, tuple(axis.tolist()), parts.notes)


METRIC = Metric(
    irof,
    id="irof",
    title="IROF",
    reference=Reference("arXiv:2003.08747", "IROF"),
    better="higher",
    caveat="The cut into superpixels decides with the map: fine maps are judged by their means over regions.",
)
