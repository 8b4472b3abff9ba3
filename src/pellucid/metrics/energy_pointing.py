"""Energy-based pointing game."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.judging import Metric
from pellucid.metrics._truth import inside, share_inside
from pellucid.types import Map, Paper, Scores


def energy_pointing(values: Map, boxes: Sequence[Tensor]) -> Scores:
    """Which share of the map's positive evidence lies in the boxes of the thing.

    Args:
        values: the maps `[batch, row, column]`; negative evidence does not count.
        boxes: for each map `[box, 4]`; a pixel is inside whose centre is.

    Returns:
        0 to 1; 0 for maps without positive evidence, NaN where there is no box.
    """
    mask = inside(boxes, values)
    known = torch.tensor([len(each) > 0 for each in boxes], device=values.device)
    return torch.where(known, share_inside(values, mask), torch.nan)


METRIC = Metric(
    energy_pointing,
    id="energy-pointing",
    title="Energy-based pointing game",
    reference=Paper("arXiv:1910.01279", "energy-based pointing game"),
    better="higher",
    caveat="Boxes hold background too, and a larger thing gets a larger share of any map.",
)
