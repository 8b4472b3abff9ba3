"""Monotonicity: whether each further pixel that the map counts in makes the answer surer."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.masking import fill_of
from pellucid.metrics._curves import curve_of


def monotonicity(
    values: Map, image: Maps, probe: ScoreQueries, rng: Noise, *, steps: int = 28, baseline: float | str | Tensor = 0.0
) -> MetricResult:
    """At which share of the steps the probability does not fall while pixels are shown, the smallest values first.

    The paper's question is whether it never falls, which is a value of 1 here; with hundreds of parts almost no map of
    a photograph passes that, so the share is given.

    Args:
        values: the maps `[batch, *axes]`; only their order counts.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the probability of the target's class.
        rng: random draws of the noise of the baseline `noise`.
        steps: into how many equal parts the pixels are divided.
        baseline: what is there before (see `pellucid.masking.fills`).

    Returns:
        The share of the steps, 0 to 1. extras `curve` `[batch, steps + 1]`: the probability, and `monotone` `[batch]`:
        1 where it never falls; axis: the share that is shown.

    Raises:
        BadOption: no step, more steps than pixels, or an unknown baseline.
    """
    fill = fill_of(METRIC.id, baseline, image, probe, rng)
    shown = curve_of(-values, probe, steps, fill, METRIC.id, shown=True)
    rises = shown.extras["curve"].diff(dim=1) >= 0
    monotone = rises.all(1).double()
    return MetricResult(rises.double().mean(1), {**shown.extras, "monotone": monotone}, shown.axis)


METRIC = Metric(
    monotonicity,
    id="monotonicity",
    title="Monotonicity",
    reference=Reference("arXiv:1909.03012", "monotonicity"),
    better="higher",
    caveat="Half of a picture shown in any order makes most answers surer at about half of the steps: a random map is "
    "not far from a good one.",
)
