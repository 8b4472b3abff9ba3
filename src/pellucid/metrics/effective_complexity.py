"""Effective complexity: how much of the picture, in the map's order, the answer needs."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import fill_of
from pellucid.metrics._curves import curve_of


def effective_complexity(
    values: Map,
    image: Maps,
    probe: ScoreQueries,
    rng: Noise,
    *,
    steps: int = 28,
    loss: float = 0.1,
    above: float | None = None,
    baseline: float | str | Tensor = 0.0,
) -> MetricResult:
    """The smallest share of the pixels, largest absolute values first, that keeps the answer.

    min k such that p(x_k) >= (1 - loss) p(x), x_k showing the first k pixels. The paper asks for the expected loss over
    what the others may be; here they are hidden.

    Args:
        values: the maps `[batch, *axes]`; only the order of their absolute values counts.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the probability of the target's class.
        rng: random draws of the noise of the baseline `noise`.
        steps: into how many equal parts the pixels are divided; the answer is as fine as this.
        loss: the share of the probability that may be lost, from 0 and below 1.
        above: count the pixels instead whose absolute value is above this share of the map's largest, and ask the
            network nothing, as public code does; from 0 and below 1.
        baseline: what hides the rest (see `pellucid.masking.fills`).

    Returns:
        A share of the pixels, 0 to 1. Unless `above` is given: extras `curve` `[batch, steps + 1]`: the probability;
        axis: the share shown.

    Raises:
        BadOption: no step, more steps than pixels, a loss or share out of range, or an unknown baseline.
    """
    if not 0 <= loss < 1:
        raise BadOption(f"Expected 0 <= loss < 1 for {METRIC.id}, got {loss}.")
    if above is not None:
        return MetricResult(_share_above(values.abs(), above))
    fill = fill_of(METRIC.id, baseline, image, probe, rng)
    shown = curve_of(values.abs(), probe, steps, fill, METRIC.id, shown=True)
    curve = shown.extras["curve"]
    enough = curve >= (1 - loss) * curve[:, -1:]
    enough[:, -1] = True
    first: Tensor = enough.int().argmax(1)
    return MetricResult(curve.new_tensor(shown.axis)[first], shown.extras, shown.axis)


def _share_above(sizes: Map, above: float) -> Tensor:
    """How many pixels, as a share, are above a share of the largest of their map, `[batch]`."""
    if not 0 <= above < 1:
        raise BadOption(f"Expected 0 <= above < 1 for {METRIC.id}, got {above}.")
    flat = sizes.flatten(1)
    return (flat > above * flat.amax(1, keepdim=True)).double().mean(1)


METRIC = Metric(
    effective_complexity,
    id="effective-complexity",
    title="Effective complexity",
    reference=Reference("arXiv:2007.07584", "effective complexity"),
    better="lower",
    caveat="A class that the network sees in an empty picture needs nothing, whatever the map: look at the controls.",
)
