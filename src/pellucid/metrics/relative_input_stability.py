"""Relative input stability: the map's relative change for the picture's, where the answer stays the same."""

from __future__ import annotations

import torch

from pellucid.contracts import Map, Maps, Metric, MetricResult, Noise, Reattribution, Reference, ScoreQueries
from pellucid.metrics._neighbours import nearby, per_neighbour
from pellucid.numerics import per_row

_FLOOR = 1e-3
"""Smaller divisors, as a share of the largest, count as this; without it single zeros would decide everything."""


def relative_input_stability(
    values: Map,
    image: Maps,
    explain: Reattribution,
    probe: ScoreQueries,
    rng: Noise,
    *,
    samples: int = 10,
    radius: float = 0.005,
) -> MetricResult:
    """The largest ratio of the map's relative change to the picture's, over noisy pictures of the same top class.

    max ||(e - e') / e|| / ||(x - x') / x||, both divided element by element, those of the picture over all channels,
    and both lengths as root mean squares. Divisors below 0.1 % of the largest count as that; the paper adds an absolute
    number to the denominator, whose meaning depends on the map's units.

    Args:
        values: e, the maps `[batch, row, column]`.
        image: x, the model's input `[batch, channel, *axes]`.
        explain: function that makes the maps anew.
        probe: access to the network, asked for the top class.
        rng: random draws of the noise, the same for all maps and pictures.
        samples: noisy pictures.
        radius: radius of the noise, as a fraction of the picture's range of values; smaller than for the other metrics
            of stability, as much noise leaves few pictures their top class.

    Returns:
        At least 0; NaN where a map is 0 everywhere, or no noisy picture keeps its top class. extras `ratios`
        `[batch, samples]`: of each noisy picture, NaN where the class changes.

    Raises:
        BadOption: no sample or no radius.
    """
    change = nearby(METRIC.id, rng, samples, radius)

    def own_first(rows: Maps, pictures: torch.Tensor, numbers: torch.Tensor) -> Maps:
        disturbed = change(rows, pictures, (numbers - 1).clamp(min=0))
        return torch.where(per_row(numbers > 0, rows), disturbed, rows)

    top = probe.score(samples + 1, own_first, shared=True).top
    found = torch.full((len(values), samples), torch.nan, dtype=torch.float64, device=values.device)
    for rows, numbers, before, after in per_neighbour(values, explain, samples, change):
        pictures = image[rows].double()
        moved = change(image[rows], rows, numbers).double() - pictures
        found[rows, numbers] = _relative(after - before, before) / _relative(moved, pictures)
    if top is not None:
        found = found.where(top[:, 1:] == top[:, :1], torch.nan)
    worst = found.nan_to_num(-torch.inf).amax(1)
    return MetricResult(worst.where(worst >= 0, torch.nan), {"ratios": found})


def _relative(difference: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Root mean square of a quotient, element by element, `[n]`."""
    size = whole.flatten(1).abs()
    share = difference.flatten(1) / torch.maximum(size, _FLOOR * size.amax(1, keepdim=True))
    return share.square().mean(1).sqrt()


METRIC = Metric(
    relative_input_stability,
    id="relative-input-stability",
    title="Relative input stability",
    reference=Reference("arXiv:2203.06877", "RIS"),
    better="lower",
    caveat="Small values of the map decide, as each is divided by itself; a map that never changes scores a perfect 0.",
)
