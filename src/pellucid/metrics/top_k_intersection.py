"""Top-k intersection."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Metric, Reference, Scores
from pellucid.errors import BadOption
from pellucid.metrics._truth import over_chance, top_share


def top_k_intersection(values: Map, mask: Tensor, *, k: int = 1000, concept_influence: bool = False) -> Scores:
    """Which share of the map's k largest values lies on the thing.

    Only the order of the values counts; equal ones share the places that are left.

    Args:
        values: the maps `[batch, *axes]`.
        mask: places of the thing, bool `[batch, row, column]`.
        k: number of values; the paper's 1,000 are 2 % of 224 x 224.
        concept_influence: True if the share is divided by the thing's share of the picture, so that 1 is what chance
            gives and things of all sizes can be compared, as the paper's concept influence does.

    Returns:
        0 to 1, with `concept_influence` up to the picture's size through the thing's; NaN for empty masks.

    Raises:
        BadOption: no value, or more than the map has.
    """
    pixels = values[0].numel()
    if not 1 <= k <= pixels:
        raise BadOption(f"Expected 1 to {pixels:,} values (the map's pixels) as k of {METRIC.id}, got {k}.")
    share = top_share(values, mask, torch.full((len(values),), k, device=values.device))
    return over_chance(share, mask) if concept_influence else share


METRIC = Metric(
    top_k_intersection,
    id="top-k-intersection",
    title="Top-k intersection",
    reference=Reference("arXiv:2104.14995", "top-k intersection"),
    better="higher",
    caveat="Says nothing about what the map misses of the thing.",
)
