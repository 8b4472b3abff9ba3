"""MaxBoxAccV2: the boxes of all parts, at three overlaps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.contracts import Map, Metric, MetricResult, Reference
from pellucid.metrics._truth import THRESHOLDS, answered, nearest_threshold, overlap_curves

OVERLAPS = (0.3, 0.5, 0.7)


def max_box_acc_v2(values: Map, boxes: Sequence[Tensor], *, threshold: float = 0.2) -> MetricResult:
    """As `max-box-acc`, for the best box of any part above the threshold, averaged over overlaps of 0.3, 0.5 and 0.7.

    The paper takes the best threshold of a set for each of the three overlaps, then their mean. extras has the three
    curves: `sum(score.extras[f"curve {o}"].mean(0).max() for o in (0.3, 0.5, 0.7)) / 3`.

    Args:
        values: the maps `[batch, *axes]`.
        boxes: corners for each map, `[box, 4]`.
        threshold: 0, 0.01, ... 0.99.

    Returns:
        0 to 1 in thirds, NaN where there is no box. extras `curve` `[batch, 100]`: the same at all thresholds; they
        are the axis. And `curve 0.3`, `curve 0.5`, `curve 0.7`: 1 or 0 at each overlap.

    Raises:
        BadOption: a threshold that is no share.
    """
    number = nearest_threshold(METRIC.id, threshold)
    best, known = overlap_curves(values, boxes, parts=None)
    curves = {
        f"curve {overlap}": torch.where(known[:, None], (best >= overlap).double(), torch.nan) for overlap in OVERLAPS
    }
    mean = torch.stack(list(curves.values())).mean(0)
    return MetricResult(answered(mean[:, number], known), {"curve": mean, **curves}, THRESHOLDS)


METRIC = Metric(
    max_box_acc_v2,
    id="max-box-acc-v2",
    title="MaxBoxAccV2",
    reference=Reference("arXiv:2007.04178", "section 4.2"),
    better="higher",
    caveat="The best of all parts counts, so maps that break into many pieces are forgiven.",
)
