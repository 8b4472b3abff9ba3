"""Max-sensitivity: how much the map changes at worst when the picture hardly does."""

from __future__ import annotations

from pellucid.contracts import Map, Metric, MetricResult, Noise, Reattribution, Reference
from pellucid.metrics._neighbours import distances, nearby


def max_sensitivity(
    values: Map, explain: Reattribution, rng: Noise, *, samples: int = 10, radius: float = 0.02
) -> MetricResult:
    """The largest change of the map, as a share of its length, over pictures with a little noise.

    max_{|d| <= r} ||Phi(x + d) - Phi(x)|| / ||Phi(x)||, d uniform in a cube; the division, by which maps of different
    units become comparable, is that of the authors' code. The target remains that of the picture itself.

    Args:
        values: the maps `[batch, *axes]`.
        explain: function that makes the maps anew.
        rng: random draws of the noise, the same for all maps and pictures.
        samples: noisy pictures; the true maximum is above what any number of them finds.
        radius: r, as a fraction of the picture's range of values.

    Returns:
        At least 0; NaN for maps that are 0 everywhere. extras `distances` `[batch, samples]`: of each noisy picture.

    Raises:
        BadOption: no sample or no radius.
    """
    found = distances(values, explain, samples, nearby(METRIC.id, rng, samples, radius))
    return MetricResult(found.amax(1), {"distances": found})


METRIC = Metric(
    max_sensitivity,
    id="max-sensitivity",
    title="Max-sensitivity",
    reference=Reference("arXiv:1901.09392", "max-sensitivity"),
    better="lower",
    caveat="A map that never changes is perfectly stable and says nothing: the random and the centre map score 0.",
    remade="samples",
)
