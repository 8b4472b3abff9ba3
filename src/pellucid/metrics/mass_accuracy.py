"""Relevance mass accuracy."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Map, Metric, Reference, Scores
from pellucid.metrics._truth import over_chance, share_inside


def mass_accuracy(values: Map, mask: Tensor, *, weighted: bool = False) -> Scores:
    """Which share of the map's positive evidence lies on the thing itself.

    Args:
        values: the maps `[batch, *axes]`; negative evidence does not count.
        mask: places of the thing, bool `[batch, row, column]`.
        weighted: True if the share is divided by the thing's share of the picture, so that 1 is what chance gives
            (arXiv:1910.09840, weighted attribution localisation; Quantus multiplies instead, which favours large things
            twice).

    Returns:
        0 to 1, unless it is weighted; 0 for maps without positive evidence, NaN for empty masks.
    """
    share = share_inside(values, mask)
    return over_chance(share, mask) if weighted else share


METRIC = Metric(
    mass_accuracy,
    id="mass-accuracy",
    title="Relevance mass accuracy",
    reference=Reference("arXiv:2003.07258", "eq. 4"),
    better="higher",
    caveat="A larger thing gets a larger share of any map, and what the network rightly uses beside it counts against.",
)
