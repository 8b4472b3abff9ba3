"""How sure a mean over pictures is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.capture.randomness import Draws

_DRAWS = 2000


def mean_and_interval(values: Tensor, seed: int) -> tuple[float, tuple[float, float] | None]:
    """The mean over pictures and its 95 % percentile bootstrap interval (Efron 1979).

    Args:
        values: one per picture `[batch]`; those that are not finite are left out.
        seed: of the draws.

    Returns:
        Mean, NaN if nothing is left; and interval, None where fewer than two pictures are.
    """
    known = values[values.isfinite()].double().cpu()
    count = len(known)
    if count < 2:
        return (float(known[0]) if count else math.nan), None
    drawn = Draws(seed).uniform(torch.zeros(1, dtype=torch.long), torch.empty(1, _DRAWS, count, dtype=torch.float64))
    means = known[(drawn[0] * count).long()].mean(1)
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return float(known.mean()), (low, high)
