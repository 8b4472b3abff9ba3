"""What metrics of localisation share: ranks with ties, boxes at thresholds, overlaps. All pure, all row by row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.contracts import Map, Scores
from pellucid.errors import BadOption
from pellucid.numerics import Mask, boxes_of_parts, per_row

THRESHOLDS = tuple(k / 100 for k in range(100))
"""Shares of a map's range at which boxes are drawn: 0 to 0.99."""

Boxes = NDArray[np.float64]
"""`[box, 4]`: left, top, right, bottom; on other axes its beginnings, that along the last axis first, then its ends."""


def answered(answer: Tensor, known: Tensor) -> Scores:
    """The answers, and NaN where nothing is known to compare with."""
    return torch.where(known, answer.double(), torch.nan)


def inside(boxes: Sequence[Tensor], like: Map) -> Tensor:
    """Pixels whose centres lie in any box of their picture, bool `[batch, *axes]`."""
    centres = [torch.arange(length, device=like.device) + 0.5 for length in like.shape[1:]]
    axes, found = len(centres), torch.zeros(like.shape, dtype=torch.bool, device=like.device)
    for number, each in enumerate(boxes):
        for box in each.tolist():
            sides = zip(centres, reversed(box[:axes]), reversed(box[axes:]), strict=True)
            within = [(centre > begin) & (centre < end) for centre, begin, end in sides]
            found[number] |= reduce(lambda known, more: known[..., None] & more, within)
    return found


def share_inside(values: Map, mask: Tensor) -> Scores:
    """Which share of the positive evidence lies in the mask; 0 for maps without any, NaN for empty masks."""
    weight = values.double().clamp(min=0)
    peak, axes = per_row(weight.flatten(1).amax(1), weight), tuple(range(1, values.ndim))
    weight = weight / torch.where(peak > 0, peak, 1)  # so that sums neither overflow nor vanish
    total = weight.sum(axes)
    return answered((weight * mask).sum(axes) / torch.where(total > 0, total, 1), mask.flatten(1).any(1))


def over_chance(share: Scores, mask: Tensor) -> Scores:
    """A share in the mask as a multiple of the mask's share of the picture, which is what chance gives."""
    return share / mask.flatten(1).double().mean(1)


def top_share(values: Map, mask: Tensor, count: Tensor) -> Scores:
    """Which share of each map's `count` `[batch]` largest values lies in the mask.

    Where equal values straddle the border, each has the same part in it: the expectation over random orders.
    """
    flat, inner = values.flatten(1), mask.flatten(1)
    ordered = flat.sort(dim=1, descending=True).values
    border = ordered.gather(1, (count.clamp(min=1) - 1)[:, None])
    over, tied = flat > border, flat == border
    rest = count - over.sum(1)
    hits = (over & inner).sum(1) + rest * (tied & inner).sum(1) / tied.sum(1)
    return answered(hits / count.clamp(min=1), inner.any(1))


def stretched(values: Map) -> Map:
    """Each map from 0 to 1, its smallest and largest value; a map that is the same everywhere is 0."""
    values = values.double()
    low, high = (per_row(end, values) for end in values.flatten(1).aminmax(dim=1))
    spread = high - low
    return torch.where(spread > 0, (values - low) / torch.where(spread > 0, spread, 1), 0.0)


def overlaps(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union of the areas of every pair, `[first, second]`."""
    numbers = np.asarray(first).shape[-1]
    axes = numbers // 2
    a, b = np.asarray(first, float).reshape(-1, 1, numbers), np.asarray(second, float).reshape(1, -1, numbers)
    sides = np.minimum(a[..., axes:], b[..., axes:]) - np.maximum(a[..., :axes], b[..., :axes])
    shared = np.clip(sides, 0, None).prod(-1)
    whole = (a[..., axes:] - a[..., :axes]).prod(-1) + (b[..., axes:] - b[..., :axes]).prod(-1) - shared
    return np.asarray(shared / np.where(whole > 0, whole, 1))


def best_overlaps(
    values: NDArray[np.float64], truth: Boxes, thresholds: Sequence[float] = THRESHOLDS, *, parts: int | None = 1
) -> NDArray[np.float64]:
    """The best overlap of a drawn box with a true one, at each threshold.

    Args:
        values: a map from 0 to 1, `[*axes]`.
        truth: at least one box.
        thresholds: a box is drawn around what is above.
        parts: how many connected parts get a box, the largest first; None: all.
    """
    best = np.zeros(len(thresholds))
    above: Mask | None = None
    for number, threshold in enumerate(thresholds):
        now = values > threshold
        if above is not None and np.array_equal(now, above):
            best[number] = best[number - 1]
            continue
        above = now
        drawn = boxes_of_parts(now, parts)
        best[number] = overlaps(np.array(drawn), truth).max() if drawn else 0.0
    return best


def overlap_curves(values: Map, boxes: Sequence[Tensor], parts: int | None) -> tuple[Tensor, Tensor]:
    """`best_overlaps` of every row, `[batch, threshold]`, and which rows have a true box."""
    known = torch.tensor([len(each) > 0 for each in boxes], device=values.device)
    arrays = stretched(values).cpu().numpy()
    curves = [
        best_overlaps(array, each.double().cpu().numpy(), parts=parts) if len(each) else np.zeros(len(THRESHOLDS))
        for array, each in zip(arrays, boxes, strict=True)
    ]
    return torch.from_numpy(np.stack(curves)).to(values.device), known


def nearest_threshold(metric: str, threshold: float) -> int:
    """The number of a threshold among `THRESHOLDS`.

    Raises:
        BadOption: it is none.
    """
    share(metric, "threshold", threshold)
    number = round(threshold * len(THRESHOLDS))
    if number >= len(THRESHOLDS) or abs(THRESHOLDS[number] - threshold) > 1e-9:
        raise BadOption(f"{metric} draws boxes at thresholds of 0, 0.01, ... 0.99, got {threshold}.")
    return number


def share(metric: str, name: str, value: float) -> None:
    """Refuse what is no share below 1.

    Raises:
        BadOption: it is none.
    """
    if not 0 <= value < 1:
        raise BadOption(f"Expected a share from 0 to below 1 for the option {name!r} of {metric}, got {value}.")
