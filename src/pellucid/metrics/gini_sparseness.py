"""Gini sparseness: on how few pixels the map's weight lies."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Metric, Reference


def gini_sparseness(values: Map) -> Tensor:
    """The Gini index of the map's absolute values.

    1 - 2 sum_k |v|_(k) / sum |v| (d - k + 1/2) / d over the d values in rising order: 0 when all are alike,
    1 - 1 / d when a single pixel has everything.

    Args:
        values: the maps `[batch, *axes]`.

    Returns:
        0 to 1; NaN for maps that are 0 everywhere.
    """
    rising = values.flatten(1).abs().double().sort(dim=1).values
    count = rising.shape[1]
    places = torch.arange(1, count + 1, device=values.device, dtype=torch.float64)
    share = rising / rising.sum(1, keepdim=True)  # 0 / 0 is NaN: no answer
    return 1 - 2 * (share * (count - places + 0.5) / count).sum(1)


METRIC = Metric(
    gini_sparseness,
    id="gini-sparseness",
    title="Gini sparseness",
    reference=Reference("arXiv:1810.06583", "Gini index"),
    better="higher",
    caveat="Says how concentrated a map is, not whether it is right: one wrong pixel is as sparse as can be.",
)
