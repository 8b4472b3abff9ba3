"""How far two rows of numbers agree."""

from __future__ import annotations

import torch
from torch import Tensor


def pearson(first: Tensor, second: Tensor) -> Tensor:
    """Correlation along the last axis, in float64; NaN where one of the two is constant."""
    centred, constant = [], torch.zeros((), dtype=torch.bool, device=first.device)
    for values in (first.double(), second.double()):
        constant = constant | (values.amax(-1) == values.amin(-1))
        scaled = values / values.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
        centred.append(scaled - scaled.mean(-1, keepdim=True))
    a, b = centred
    found = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(constant, torch.nan, found.clamp(-1, 1))


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """Correlation of the ranks along the last axis, ties with their mean rank; NaN where one of the two is constant."""
    return pearson(*(mean_ranks(values) for values in (first, second)))


def mean_ranks(values: Tensor) -> Tensor:
    """The rank of each number along the last axis, from 0 for the smallest; equal ones share the mean of theirs."""
    rising, order = values.sort(dim=-1)
    place = torch.arange(values.shape[-1], device=values.device).expand_as(order)
    first, last = torch.ones_like(order, dtype=torch.bool), torch.ones_like(order, dtype=torch.bool)
    first[..., 1:] = last[..., :-1] = rising[..., 1:] != rising[..., :-1]  # of a run of equal ones
    low = place.masked_fill(~first, 0).cummax(-1).values
    high = place.masked_fill(~last, values.shape[-1]).flip(-1).cummin(-1).values.flip(-1)
    return torch.zeros_like(low).scatter_(-1, order, low + high).double() / 2
