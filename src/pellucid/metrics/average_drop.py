"""Average drop: how much of the answer goes when only what the map shows is left."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.masking import fill_of
from pellucid.metrics._shown import behind_the_map, nothing_shown


def average_drop(
    values: Map, image: Maps, probe: ScoreQueries, rng: Noise, *, baseline: float | str | Tensor = 0.0
) -> MetricResult:
    """Which share of the probability is lost when the picture is seen through the map.

    max(0, Y - O) / Y, with Y the probability for the picture and O for the picture behind the map, its negative values
    cut off and its maximum scaled to 1. The paper prints the mean in per cent; this is a fraction. Public code leaves
    the division out in one place (pytorch-grad-cam).

    Args:
        values: the maps `[batch, *axes]`.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the probability of the target's class.
        rng: random draws of the noise of the baseline `noise`.
        baseline: what is seen where the map is 0 (see `pellucid.masking.fills`, all but `inpaint`); the paper
            multiplies the picture, which is 0 in the model's normalised space.

    Returns:
        The share lost, 0 to 1; NaN where Y is 0. extras `whole` and `behind`: Y and O, `[batch]`.

    Raises:
        BadOption: an unknown baseline.
    """
    whole, behind = behind_the_map(METRIC.id, values, fill_of(METRIC.id, baseline, image, probe, rng), probe)
    lost: Tensor = (whole - behind).clamp(min=0) / whole  # 0 / 0 is NaN: no answer
    return MetricResult(
        lost.where(whole > 0, lost.new_tensor(float("nan"))),
        {"whole": whole, "behind": behind},
        notes=nothing_shown(values),
    )


METRIC = Metric(
    average_drop,
    id="average-drop",
    title="Average drop",
    reference=Reference("arXiv:1710.11063", "average drop"),
    better="lower",
    caveat="A map that shows everything loses nothing, nor does an empty one where the network is as sure of a hidden "
    "picture: it must be read together with how much the map shows.",
)
