"""Random target: whether the map of another class is another map."""

from __future__ import annotations

from pellucid.contracts import Map, Metric, MetricResult, Noise, Reattribution, Reference
from pellucid.metrics._likeness import check_measure, likeness


def random_target(values: Map, explain: Reattribution, rng: Noise, *, measure: str = "ssim") -> MetricResult:
    """How alike the map is to that of another class drawn at random.

    Args:
        values: the maps `[batch, *axes]`.
        explain: function that makes the maps anew.
        rng: random draws of how far away the other class is, the same for all pictures.
        measure: name of the likeness that counts, as of `randomisation`; the paper's is `ssim`.

    Returns:
        The likeness, at most 1. A map that is the same everywhere is like none; NaN where the map itself is.

    Raises:
        BadOption: another measure.
        Refused: the target is no class's score, or there is no other class.
    """
    check_measure(METRIC.id, measure, values)
    return MetricResult(likeness(measure, values, explain.of_another_class(rng)))


METRIC = Metric(
    random_target,
    id="random-target",
    title="Random target",
    reference=Reference("arXiv:1912.09818", "random logit"),
    better="lower",
    caveat="Where one object fills the picture, the evidence for and against two classes does lie in the same place.",
)
