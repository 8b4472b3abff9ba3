"""Deletion: how fast the answer goes when the pixels that the map names are hidden."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Passes, Reference, ScoreQueries
from pellucid.masking import fill_of
from pellucid.metrics._curves import curve_of


def deletion(
    values: Map, image: Maps, probe: ScoreQueries, rng: Noise, *, steps: int = 28, baseline: float | str | Tensor = 0.0
) -> MetricResult:
    """The area under the probability while pixels are hidden, those with the largest values first.

    All channels of a pixel are hidden together. Pixels that tie go in reading order, so a constant map deletes row by
    row. The paper hides 224 pixels at a time, 224 steps for its pictures; fewer steps are a coarser trapezoid.

    Args:
        values: the maps `[batch, *axes]`; only their order counts.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the probability of the target's class.
        rng: random draws of the noise of the baseline `noise`.
        steps: into how many equal parts the pixels are divided.
        baseline: what hides: the paper's 0 of the model's normalised space, another value, `mean`, `blur`, `noise`,
            `inpaint` or another picture (see `pellucid.masking.fills`).

    Returns:
        The area, 0 to 1. extras `curve` `[batch, steps + 1]`: the probability; axis: the share that is hidden.

    Raises:
        BadOption: no step, more steps than pixels, or an unknown baseline.
    """
    fill = fill_of(METRIC.id, baseline, image, probe, rng)
    return curve_of(values, probe, steps, fill, METRIC.id, shown=False)


METRIC = Metric(
    deletion,
    id="deletion",
    title="Deletion",
    reference=Reference("arXiv:1806.07421", "deletion"),
    better="lower",
    caveat="Pictures with holes are unlike any that the network was trained on: a map that makes such pictures quickly "
    "scores well whether it shows what mattered or not.",
    passes=Passes("steps", more=1),
)
