"""Entropy: over how many pixels the map's weight is spread."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Metric, Reference


def entropy(values: Map) -> Tensor:
    """The entropy of the map's absolute values as shares of their sum, in nats.

    - sum_i p_i ln p_i with p_i = |v_i| / sum |v|: 0 when a single pixel has everything, ln d when all d are alike.

    Args:
        values: the maps `[batch, *axes]`.

    Returns:
        0 to ln of the number of pixels (10.8 for 224 x 224); NaN for maps that are 0 everywhere.
    """
    size = values.flatten(1).abs().double()
    share = size / size.sum(1, keepdim=True)  # 0 / 0 is NaN: no answer
    return -torch.xlogy(share, share).sum(1)


METRIC = Metric(
    entropy,
    id="entropy",
    title="Entropy",
    reference=Reference("arXiv:2005.00631", "complexity"),
    better="lower",
    caveat="Says how concentrated a map is, not whether it is right: one wrong pixel has no entropy at all.",
)
