"""MaxBoxAcc: the box of the largest part against the true ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.contracts import Map, Metric, MetricResult, Reference
from pellucid.metrics._truth import THRESHOLDS, answered, nearest_threshold, overlap_curves, share


def max_box_acc(values: Map, boxes: Sequence[Tensor], *, threshold: float = 0.2, overlap: float = 0.5) -> MetricResult:
    """Whether the box around the largest part of the map above a threshold overlaps a true box well enough.

    The map is stretched to 0 to 1 first. The paper's MaxBoxAcc of a set is the largest mean over its pictures that any
    one threshold reaches: `score.extras["curve"].mean(0).max()`. A single picture has an answer at one threshold only,
    so the value here is that at `threshold`, which is to be chosen on other pictures.

    Boxes are compared by their areas; the paper's code adds a pixel to every side and cuts the last one off at borders.

    Args:
        values: the maps `[batch, *axes]`.
        boxes: corners for each map, `[box, 4]`.
        threshold: 0, 0.01, ... 0.99.
        overlap: intersection over union that suffices, 0 to 1.

    Returns:
        1 or 0, NaN where there is no box. extras `curve` `[batch, 100]`: the same at all thresholds; they are the axis.

    Raises:
        BadOption: a threshold or an overlap that is no share.
    """
    share(METRIC.id, "overlap", overlap)
    number = nearest_threshold(METRIC.id, threshold)
    best, known = overlap_curves(values, boxes, parts=1)
    curve = torch.where(known[:, None], (best >= overlap).double(), torch.nan)
    return MetricResult(answered(curve[:, number], known), {"curve": curve}, THRESHOLDS)


METRIC = Metric(
    max_box_acc,
    id="max-box-acc",
    title="MaxBoxAcc",
    reference=Reference("arXiv:2001.07437", "section 4.1"),
    better="higher",
    caveat="Grids of 7 x 7 cells cannot draw a tight box, however right the map is.",
)
