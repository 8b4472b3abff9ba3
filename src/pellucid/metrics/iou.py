"""Intersection over union."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Metric, Reference, Scores
from pellucid.metrics._truth import answered, share
from pellucid.numerics import per_row


def iou(values: Map, mask: Tensor, *, threshold: float = 0.2) -> Scores:
    """How well what the map marks covers the thing: pixels in both over pixels in either.

    The map marks what is above a share of its maximum.

    Args:
        values: the maps `[batch, *axes]`.
        mask: places of the thing, bool `[batch, row, column]`.
        threshold: share of the maximum, 0 to 1; 0.2 is that of CAM. Choose it on other pictures than these.

    Returns:
        0 to 1; 0 for maps without positive evidence, NaN for empty masks.

    Raises:
        BadOption: a threshold that is no share.
    """
    share(METRIC.id, "threshold", threshold)
    peak = per_row(values.flatten(1).amax(1), values)
    marked = (values > threshold * peak) & (values > 0)
    both, either = ((marked & mask).flatten(1).sum(1), (marked | mask).flatten(1).sum(1))
    return answered(both / torch.where(either > 0, either, 1), mask.flatten(1).any(1))


METRIC = Metric(
    iou,
    id="iou",
    title="Intersection over union",
    reference=Reference("arXiv:1512.04150", "section 3.2, with masks for boxes"),
    better="higher",
    caveat="Depends on the threshold, which suits one method and not another.",
)
