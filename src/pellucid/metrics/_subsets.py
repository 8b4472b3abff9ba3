"""Random parts of pictures, hidden together: what the metrics share that compare sums of the map with the score."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, Noise, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import Fill
from pellucid.numerics import per_row

_BYTES = 2**26
"""Masks as numbers in memory at once."""


def check_subsets(metric: str, subsets: int, least: int = 3) -> None:
    """Refuse with `BadOption` fewer subsets than a correlation needs."""
    if subsets < least:
        raise BadOption(f"Expected subsets >= {least} for {metric}, got {subsets}.")


def random_parts(values: Map, rng: Noise, sizes: Tensor) -> Tensor:
    """For each of `sizes` `[count]` so many elements of a map drawn at random, bool `[count, *axes]`."""
    elements = values[0].numel()
    masks = torch.zeros(len(sizes), elements, dtype=torch.bool, device=values.device)
    for number, size in enumerate(sizes.tolist()):
        drawn = rng.uniform(torch.tensor([number]), torch.empty(1, elements, device=values.device))
        masks[number, drawn[0].argsort()[:size]] = True
    return masks.view(len(sizes), *values.shape[1:])


def drops(probe: ScoreQueries, fill: Fill, masks: Tensor) -> Tensor:
    """S(x) - S(x without the part), `[batch, count]`, for parts of all pictures, bool `[count, *axes]`."""

    def hide(rows: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        return fill.hide(rows, samples, _hidden(masks, numbers)[:, None])

    score = probe.score(len(masks) + 1, hide, shared=True).score
    return score[:, :1] - score[:, 1:]


def _hidden(masks: Tensor, numbers: Tensor) -> Tensor:
    """Variant 0 hides nothing, variant k the part k - 1."""
    return masks[(numbers - 1).clamp(min=0)] & per_row(numbers > 0, masks)


def sums(values: Map, masks: Tensor) -> Tensor:
    """The sum of each map over each part, float64 `[batch, count]`."""
    flat, step = values.flatten(1).double(), max(1, _BYTES // (8 * values[0].numel()))
    parts = [flat @ some.flatten(1).double().T for some in torch.split(masks, step)]
    return torch.cat(parts, 1)
