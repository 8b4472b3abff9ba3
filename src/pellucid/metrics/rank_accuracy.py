"""Relevance rank accuracy."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Map, Metric, Reference, Scores
from pellucid.metrics._truth import top_share


def rank_accuracy(values: Map, mask: Tensor) -> Scores:
    """Of as many of the map's largest values as the thing has pixels: which share lies on the thing.

    Only the order of the values counts; equal ones share the places that are left.

    Args:
        values: the maps `[batch, *axes]`.
        mask: places of the thing, bool `[batch, row, column]`.

    Returns:
        0 to 1; for a map that is the same everywhere the thing's share of the picture, NaN for empty masks.
    """
    return top_share(values, mask, mask.flatten(1).sum(1))


METRIC = Metric(
    rank_accuracy,
    id="rank-accuracy",
    title="Relevance rank accuracy",
    reference=Reference("arXiv:2003.07258", "eq. 5"),
    better="higher",
    caveat="A thing that fills the picture makes every map right.",
)
