"""Increase in confidence: whether the answer is surer when only what the map shows is left."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.masking import fill_of
from pellucid.metrics._shown import behind_the_map, nothing_shown


def increase(
    values: Map, image: Maps, probe: ScoreQueries, rng: Noise, *, baseline: float | str | Tensor = 0.0
) -> MetricResult:
    """In which share of the pictures the probability rises when the picture is seen through the map.

    1 where O > Y, else 0, with Y and O as in `average-drop`; the mean is the paper's "increase in confidence", as a
    fraction.

    Args:
        values: the maps `[batch, *axes]`.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the probability of the target's class.
        rng: random draws of the noise of the baseline `noise`.
        baseline: what is seen where the map is 0 (see `pellucid.masking.fills`, all but `inpaint`).

    Returns:
        0 or 1. extras `whole` and `behind`: Y and O, `[batch]`.

    Raises:
        BadOption: an unknown baseline.
    """
    whole, behind = behind_the_map(METRIC.id, values, fill_of(METRIC.id, baseline, image, probe, rng), probe)
    return MetricResult((behind > whole).to(whole), {"whole": whole, "behind": behind}, notes=nothing_shown(values))


METRIC = Metric(
    increase,
    id="increase",
    title="Increase in confidence",
    reference=Reference("arXiv:1710.11063", "increase in confidence"),
    better="higher",
    caveat="Counts a rise of a millionth like one of a half; a map that shows everything never rises, and an empty map "
    "is the best of all where the network is surer of a hidden picture.",
)
