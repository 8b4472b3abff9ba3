"""An output taken apart into rows, and whether rows agree but for rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pellucid.targets import leaves

Rows: TypeAlias = "list[list[Tensor | None]]"
"""What each part of a network's output holds for each row; None where a part has no axis for rows."""


def by_row(output: Any, count: int) -> Rows:
    """An output taken apart into rows."""
    parts = list(leaves(output))
    return [[_row(part, k, count) for part in parts] for k in range(count)]


def _row(part: Tensor, k: int, count: int) -> Tensor | None:
    if not _has_values(part) or not part.ndim or not part.numel() or len(part) % count:
        return None
    length = len(part) // count
    return part[k * length : (k + 1) * length]


def _has_values(part: Tensor) -> bool:
    return part.layout == torch.strided and not part.is_meta


def _pairs(rows: Rows, others: Rows) -> Iterator[tuple[Tensor, Tensor]]:
    """What can be compared: detectors that list what they see of each picture have other parts for two."""
    for row, other in zip(rows, others, strict=True):
        if len(row) == len(other):
            yield from ((a, b) for a, b in zip(row, other, strict=True) if a is not None and b is not None)


def agree(rows: Rows, others: Rows) -> bool:
    """Whether there are finite answers, the same twice."""
    pairs = list(_pairs(rows, others)) if len(rows) == len(others) else []
    return bool(pairs) and all(close(a, b) for a, b in pairs)


def gap_between(rows: Rows, others: Rows) -> float:
    """The largest difference beyond rounding, as a share of the largest value there is; 0 where there is none."""
    return max((_apart(a, b) for a, b in _pairs(rows, others)), default=0.0)


def _apart(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return math.inf
    tolerance = torch.finfo(a.dtype).eps ** 0.5
    a, b = a.double().nan_to_num(), b.double().nan_to_num()
    most, gap = a.abs().amax(), (a - b).abs().amax()
    return 0.0 if gap <= tolerance * most else float(gap / most)


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two outputs agree but for rounding, which is more than another batch size or order of memory changes."""
    if a.shape != b.shape or a.dtype != b.dtype or not a.is_floating_point():
        return False
    tolerance = torch.finfo(a.dtype).eps ** 0.5 * a.abs().amax() if a.numel() else 0
    return bool(a.isfinite().all()) and bool(((a - b).abs() <= tolerance).all())
