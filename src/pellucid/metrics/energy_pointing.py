"""Energy-based pointing game."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.contracts import Map, Metric, Reference, Scores
from pellucid.metrics._truth import inside, over_chance, share_inside


def energy_pointing(values: Map, boxes: Sequence[Tensor], *, weighted: bool = False) -> Scores:
    """Which share of the map's positive evidence lies in the boxes of the thing.

    Args:
        values: the maps `[batch, *axes]`; negative evidence does not count.
        boxes: corners for each map, `[box, 4]`; a pixel is inside whose centre is.
        weighted: True if the share is divided by the boxes' share of the picture, so that 1 is what chance gives
            (arXiv:1910.09840, weighted attribution localisation).

    Returns:
        0 to 1, unless it is weighted; 0 for maps without positive evidence, NaN where there is no box.
    """
    mask = inside(boxes, values)
    known = torch.tensor([len(each) > 0 for each in boxes], device=values.device)
    share = share_inside(values, mask)
    return torch.where(known, over_chance(share, mask) if weighted else share, torch.nan)


METRIC = Metric(
    energy_pointing,
    id="energy-pointing",
    title="Energy-based pointing game",
    reference=Reference("arXiv:1910.01279", "energy-based pointing game"),
    better="higher",
    caveat="Boxes hold background too, and a larger thing gets a larger share of any map.",
)
