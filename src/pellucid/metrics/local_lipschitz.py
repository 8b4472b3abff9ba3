"""Local Lipschitz estimate: how much faster than the picture the map changes."""

from __future__ import annotations

import torch

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reattribution, Reference
from pellucid.metrics._neighbours import nearby, per_neighbour


def local_lipschitz(
    values: Map, image: Maps, explain: Reattribution, rng: Noise, *, samples: int = 10, radius: float = 0.1
) -> MetricResult:
    """The largest ratio of the map's change to the picture's, over pictures with a little noise.

    max_j ||Phi(x) - Phi(x_j)|| / ||x - x_j||, every map divided by its own length first, so that maps of different
    units can be compared.

    Args:
        values: the maps `[batch, *axes]`.
        image: the model's input `[batch, channel, *axes]`.
        explain: function that makes the maps anew.
        rng: random draws of the noise, the same for all maps and pictures.
        samples: noisy pictures.
        radius: radius of the noise, as a fraction of the picture's range of values.

    Returns:
        At least 0, per unit of the model's normalised space; NaN where a map is 0 everywhere. extras `ratios`
        `[batch, samples]`: of each noisy picture.

    Raises:
        BadOption: no sample or no radius.
    """
    change = nearby(METRIC.id, rng, samples, radius)
    found = torch.full((len(values), samples), torch.nan, dtype=torch.float64, device=values.device)
    for rows, numbers, before, after in per_neighbour(values, explain, samples, change):
        moved = (change(image[rows], rows, numbers) - image[rows]).double().flatten(1).norm(dim=1)
        first, second = (maps.flatten(1) for maps in (before, after))
        apart = first / first.norm(dim=1, keepdim=True) - second / second.norm(dim=1, keepdim=True)
        found[rows, numbers] = apart.norm(dim=1) / moved
    return MetricResult(found.amax(1), {"ratios": found})


METRIC = Metric(
    local_lipschitz,
    id="local-lipschitz",
    title="Local Lipschitz estimate",
    reference=Reference("arXiv:1806.08049", "local Lipschitz estimate"),
    better="lower",
    caveat="A map that never changes is perfectly stable and says nothing: the random and the centre map score 0.",
)
