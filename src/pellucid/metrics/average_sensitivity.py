"""Average sensitivity: how much the map changes on the mean when the picture hardly does."""

from __future__ import annotations

from pellucid.contracts import Map, Metric, MetricResult, Noise, Reattribution, Reference
from pellucid.metrics._neighbours import distances, nearby


def average_sensitivity(
    values: Map, explain: Reattribution, rng: Noise, *, samples: int = 10, radius: float = 0.02
) -> MetricResult:
    """The mean change of the map, as a share of its length, over pictures with a little noise.

    As `max-sensitivity`, with the mean for the maximum: an estimate that more samples make better, not larger.

    Args:
        values: the maps `[batch, *axes]`.
        explain: function that makes the maps anew.
        rng: random draws of the noise, the same for all maps and pictures.
        samples: noisy pictures.
        radius: radius of the noise, as a fraction of the picture's range of values.

    Returns:
        At least 0; NaN for maps that are 0 everywhere. extras `distances` `[batch, samples]`: of each noisy picture.

    Raises:
        BadOption: no sample or no radius.
    """
    found = distances(values, explain, samples, nearby(METRIC.id, rng, samples, radius))
    return MetricResult(found.mean(1), {"distances": found})


METRIC = Metric(
    average_sensitivity,
    id="average-sensitivity",
    title="Average sensitivity",
    reference=Reference("arXiv:2005.00631", "average sensitivity"),
    better="lower",
    caveat="A map that never changes is perfectly stable and says nothing: the random and the centre map score 0.",
    remade="samples",
)
