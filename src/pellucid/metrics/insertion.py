"""Insertion: how fast the answer comes when the pixels that the map names are shown."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Passes, Reference, ScoreQueries
from pellucid.masking import Fill, fill_of, refuse_tables, smoothed
from pellucid.metrics._curves import curve_of

PAPERS_BLUR = "blur-11"
_SIGMA = 5.0
"""Pixels; the paper's kernel has 11 rows and columns, so it reaches one deviation."""


def insertion(
    values: Map,
    image: Maps,
    probe: ScoreQueries,
    rng: Noise,
    *,
    steps: int = 28,
    baseline: float | str | Tensor = PAPERS_BLUR,
) -> MetricResult:
    """The area under the probability while pixels of a blurred picture become sharp, the largest values first.

    As `deletion`, the other way round: it begins with what hides everything.

    Args:
        values: the maps `[batch, *axes]`; only their order counts.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the probability of the target's class.
        rng: random draws of the noise of the baseline `noise`.
        steps: into how many equal parts the pixels are divided.
        baseline: what is there before: `blur-11` is the picture behind a Gaussian of 11 x 11 pixels with a deviation
            of 5, weights outside the picture left out; or what hides in `deletion`.

    Returns:
        The area, 0 to 1. extras `curve` `[batch, steps + 1]`: the probability; axis: the share that is shown.

    Raises:
        BadOption: no step, more steps than pixels, or an unknown baseline.
        Refused: tables with a baseline that mixes their columns.
    """
    if isinstance(baseline, str) and baseline == PAPERS_BLUR:
        refuse_tables(METRIC.id, probe, f"{PAPERS_BLUR} mixes their columns. Choose a number as baseline")
        fill = Fill(image, smoothed(image, _SIGMA, truncate=1.0))
    else:
        fill = fill_of(METRIC.id, baseline, image, probe, rng)
    return curve_of(values, probe, steps, fill, METRIC.id, shown=True)


METRIC = Metric(
    insertion,
    id="insertion",
    title="Insertion",
    reference=Reference("arXiv:1806.07421", "insertion"),
    better="higher",
    caveat="On small pictures, or for coarse classes, a blurred picture is recognised as it is, and every map scores "
    "well: look at the controls.",
    passes=Passes("steps", more=1),
)
