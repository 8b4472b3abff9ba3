"""PxAP: pixel average precision."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Metric, Reference, Scores
from pellucid.metrics._truth import answered


def pxap(values: Map, mask: Tensor) -> Scores:
    """The area under precision over recall of the thing's pixels, over all thresholds of the map.

    AP = sum_l precision_l (recall_l - recall_(l-1)), one step for each distinct value, from the largest down. The paper
    pools the pixels of all pictures behind maps that are stretched to 0 to 1, which `pellucid locate --annotations`
    does; here each picture has its own.

    Args:
        values: the maps `[batch, *axes]`; only their order counts.
        mask: places of the thing, bool `[batch, row, column]`.

    Returns:
        0 to 1; for a map that is the same everywhere the thing's share of the picture, NaN for empty masks.
    """
    inner = mask.flatten(1)
    ordered, order = values.flatten(1).sort(dim=1, descending=True)
    right = inner.gather(1, order).double().cumsum(1)
    precision = right / torch.arange(1, right.shape[1] + 1, device=right.device)
    last = torch.cat([ordered[:, 1:] != ordered[:, :-1], torch.ones_like(inner[:, :1])], 1)  # of equal values
    total = right[:, -1:].clamp(min=1)
    # Recall where the last group of equal values ended: the largest count of any end before.
    before = torch.cat([torch.zeros_like(total), torch.where(last, right, 0).cummax(1).values[:, :-1]], 1)
    return answered((precision * (right - before) * last).sum(1) / total[:, 0], inner.any(1))


METRIC = Metric(
    pxap,
    id="pxap",
    title="PxAP",
    reference=Reference("arXiv:2001.07437", "section 4.1"),
    better="higher",
    caveat="The thing's share of the picture is what a map gets that says nothing; compare with the controls.",
)
