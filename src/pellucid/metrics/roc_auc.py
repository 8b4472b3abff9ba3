"""The area under the ROC curve of the thing's pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Metric, Reference, Scores
from pellucid.metrics._truth import answered


def roc_auc(values: Map, mask: Tensor) -> Scores:
    """How probably a pixel of the thing has a larger value than one beside it, both drawn at random.

    This is the area under the true-positive rate over the false-positive rate, over all thresholds of the map; ties
    count half. Only the order of the values counts.

    Args:
        values: the maps `[batch, *axes]`.
        mask: places of the thing, bool `[batch, row, column]`.

    Returns:
        0 to 1, one half for a map that is the same everywhere; NaN for masks that are empty or the whole picture.
    """
    inner = mask.flatten(1)
    within = inner.sum(1).double()
    pairs = within * (inner.shape[1] - within)
    # the mean rank of the thing's pixels, without the pairs among themselves (the U of Mann and Whitney)
    above = (_middle_ranks(values.flatten(1)) * inner).sum(1) - within * (within - 1) / 2
    return answered(above / pairs.clamp(min=1), pairs > 0)


def _middle_ranks(flat: Tensor) -> Tensor:
    """How many values of its row are smaller, equal ones counted half (itself not): float64, as `[batch, pixel]`."""
    ordered, flat = flat.sort(dim=1).values, flat.contiguous()
    smaller = torch.searchsorted(ordered, flat, right=False)
    not_larger = torch.searchsorted(ordered, flat, right=True)
    return (smaller + not_larger - 1).double() / 2


METRIC = Metric(
    roc_auc,
    id="roc-auc",
    title="ROC AUC",
    reference=Reference("doi:10.1016/j.patrec.2005.10.010", "section 7"),
    better="higher",
    caveat="Most pixels are background, so a map that is sure of the background alone is close to 1; `pxap` is not.",
)
