"""Infidelity: how far the map's sums are from what hiding squares of the picture costs."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import LocalPerturbation, Map, Maps, Metric, MetricResult, Noise, Reference, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import fill_of, inside
from pellucid.metrics._subsets import sums
from pellucid.numerics import safe_divide


def infidelity(
    values: Map,
    image: Maps,
    probe: ScoreQueries,
    rng: Noise,
    *,
    squares: int = 64,
    largest: float = 0.5,
    scaled: bool = True,
    baseline: float | str | Tensor = 0.0,
) -> MetricResult:
    """The mean squared difference between the map's sum over a square and the fall of the score when it is hidden.

    E_I (I^T Phi - (S(x) - S(x - I)))^2, with I what hiding a square takes away: the paper's square removal, squares of
    random place and size. I^T Phi is the map's sum over the square, as its values are contributions, input included.

    Args:
        values: the maps `[batch, *axes]`, read as contributions that add up.
        image: the model's input `[batch, channel, *axes]`.
        probe: access to the network, asked for the target's score.
        rng: random draws of the squares, the same for all maps and pictures.
        squares: number of squares.
        largest: the longest side of a square, as a share of the picture's shorter side, above 0 and at most 1.
        scaled: True if each map is first multiplied by the number that fits best, E(sum fall) / E(sum^2), without which
            maps of different units cannot be compared.
        baseline: what hides (see `pellucid.masking.fills`).

    Returns:
        In squared units of the score, at least 0. extras `normalised` `[batch]`: the same as a share of E(fall^2), 0 to
        1 with `scaled`, comparable between networks.

    Raises:
        BadOption: no squares, a side out of range, or an unknown baseline.
    """
    side = round(largest * min(image.shape[2:]))
    if squares < 1 or not 0 < largest <= 1 or side < 1:
        raise BadOption(f"Expected squares >= 1 and 0 < largest <= 1 for {METRIC.id}, got {squares} and {largest}.")
    boxes, fill = _boxes(image, rng, squares, side), fill_of(METRIC.id, baseline, image, probe, rng)

    def paint(parts: Maps, samples: Tensor, numbers: Tensor, corners: Tensor) -> Maps:
        return fill.hide(parts, samples, inside(boxes[numbers], corners, parts.shape), corners)

    score = probe.score(squares + 1, LocalPerturbation(boxes, paint), shared=True).score.double()
    fall = score[:, -1:] - score[:, :-1]
    corner = torch.zeros(squares, values.ndim - 1, dtype=torch.long, device=values.device)
    masks = inside(boxes[:-1], corner, values[:1, None].shape)[:, 0]
    told = sums(values, masks)
    if scaled:
        told = told * safe_divide((told * fall).mean(1), (told**2).mean(1))[:, None]
    wrong = ((told - fall) ** 2).mean(1)
    return MetricResult(wrong, {"normalised": wrong / (fall**2).mean(1)})


def _boxes(image: Maps, rng: Noise, squares: int, side: int) -> Tensor:
    """Squares of random size and place, `[squares + 1, 2 axes]`; the last is empty and leaves the picture as it is."""
    size = image.shape[2:]
    drawn = rng.uniform(torch.arange(squares), torch.empty(1, 1 + len(size), dtype=torch.float64))
    sides = 1 + (drawn[:, 0] * side).long()
    begins = [(drawn[:, 1 + k] * (length - sides + 1)).long() for k, length in enumerate(size)]
    boxes = torch.stack([*begins, *(begin + sides for begin in begins)], 1)
    return torch.cat([boxes, torch.zeros_like(boxes[:1])]).to(image.device)


METRIC = Metric(
    infidelity,
    id="infidelity",
    title="Infidelity",
    reference=Reference("arXiv:1901.09392", "infidelity, square removal"),
    better="lower",
    caveat="Asks whether values add up to the score; maps that were never meant to fall short of it without being "
    "wrong about where.",
)
