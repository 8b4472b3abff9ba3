"""Pixel flipping: how far the score falls while the first pixels of the map are replaced."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import fill_of
from pellucid.metrics._curves import equal_steps, in_order


def pixel_flipping(
    values: Map,
    image: Maps,
    probe: ScoreQueries,
    rng: Noise,
    *,
    steps: int = 16,
    share: float = 0.15,
    baseline: float | str | Tensor = "noise",
) -> MetricResult:
    """The mean fall of the target's own score while pixels are replaced, those with the largest values first.

    AOPC = 1 / (L + 1) sum_{k = 0..L} (S(x) - S(x_k)), x_k with the first k / L of the budget replaced. The paper
    replaces regions of 9 x 9 pixels by uniform noise, 100 of them, which is 16 % of its pictures; here single pixels,
    all channels together, ties in reading order.

    Args:
        values: the maps `[batch, *axes]`; only their order counts.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the target's score.
        rng: random draws of the noise.
        steps: L, how often the score is asked within the budget.
        share: the budget: of the pixels that are replaced in the end, above 0, at most 1.
        baseline: what replaces them: by default noise with the mean and deviation of each channel of the picture (see
            `pellucid.masking.fills`).

    Returns:
        AOPC, in units of the score, so that it compares maps of the same network only. extras `curve`
        `[batch, steps + 1]`: S(x_k); axis: the share that is replaced.

    Raises:
        BadOption: no step, a budget out of range or smaller than the steps, or an unknown baseline.
    """
    pixels = values[0].numel()
    if not 0 < share <= 1 or not 1 <= steps <= share * pixels:
        raise BadOption(
            f"Expected 0 < share <= 1 and steps from 1 to the budget's pixels for {METRIC.id}, got {share} of {pixels} "
            f"pixels and {steps} steps."
        )
    fill = fill_of(METRIC.id, baseline, image, probe, rng)
    counts = equal_steps(share * pixels, steps, values)
    curve = probe.score(len(counts), in_order(values, counts, fill, shown=False)).score
    axis = tuple((counts.double() / pixels).tolist())
    return MetricResult((curve[:, :1] - curve).mean(1), {"curve": curve}, axis)


METRIC = Metric(
    pixel_flipping,
    id="pixel-flipping",
    title="Pixel flipping",
    reference=Reference("arXiv:1509.06321", "AOPC"),
    better="higher",
    caveat="Scattered pixels of noise disturb a network more than a hole of the same size, so fine-grained maps are "
    "favoured: look at the random map's score.",
)
