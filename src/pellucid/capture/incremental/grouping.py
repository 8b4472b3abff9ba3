"""Which variants share a pass: those whose boxes stay alike, so that the common size wastes little."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pellucid.capture.incremental.passes import LogEntry
from pellucid.capture.incremental.spans import Interval, Places, union

_START = 6e7
"""Multiply-adds that take as long as starting one operation of a pass: the network's own Python and small calls, and
what a convolution loses with few rows. Measured on eight networks; between half and thrice of it nothing changes."""
_MOST = 48
"""Intervals along one axis that are compared with one another; more are first joined with their neighbours."""

Sizes = npt.NDArray[np.float64]


def sizes(log: Sequence[LogEntry], axis: int, start: Places, stop: Places, length: int) -> Sizes:
    """How many places along an axis of each value in the log differ, `[entry, interval]`."""
    spans: list[Interval] = []
    for entry in log:
        if not entry.parents:
            spans.append(Interval(start, stop, length))
            continue
        span = union([spans[p] for p in entry.parents])
        spans.append(span if entry.motions is None else entry.motions[axis].through(span))
    return np.array([span.sizes() for span in spans], dtype=np.float64)


def classes(work: Sizes, mine: Sizes, other: Sizes, counts: Sizes, others: int) -> list[list[int]]:
    """Intervals along one axis, joined as long as the common size costs less than another pass.

    Args:
        work: multiply-adds for each place of every value in the log.
        mine: sizes along this axis `[entry, interval]`.
        other: typical numbers of places in the other ones together `[entry]`.
        counts: how many variants lie in each interval.
        others: passes for each class.
    """
    price = work * other
    groups = _neighbours(mine.shape[1])
    tops = [mine[:, g].max(1) for g in groups]
    held = [counts[g].sum() for g in groups]
    costs = [float(price @ t) * h for t, h in zip(tops, held, strict=True)]
    while len(groups) > 1:
        gain, a, b = min(
            (float(price @ np.maximum(tops[i], tops[j])) * (held[i] + held[j]) - costs[i] - costs[j], i, j)
            for i in range(len(groups)) for j in range(i)
        )  # fmt: skip
        if gain > _START * len(work) * others:
            break
        tops[b], held[b] = np.maximum(tops[a], tops[b]), held[a] + held[b]
        costs[b], groups[b] = float(price @ tops[b]) * held[b], groups[a] + groups[b]
        for values in (tops, held, costs, groups):
            del values[a]
    return [sorted(g) for g in groups]


def _neighbours(count: int) -> list[list[int]]:
    per = -(-count // _MOST)
    return [list(range(k, min(count, k + per))) for k in range(0, count, per)]


def group(log: Sequence[LogEntry], boxes: Places, size: Sequence[int]) -> list[Places]:
    """Numbers of the variants that share a pass, in an order that keeps equal boxes together.

    Args:
        log: how boxes come about in this network.
        boxes: where each variant's box begins along each axis, and where it ends, `[count, 2 * axes]`.
        size: of the input along each axis.
    """
    work, axes = np.array([entry.work for entry in log]), range(len(size))
    found = [np.unique(boxes[:, [k, k + len(size)]], axis=0, return_inverse=True) for k in axes]
    spread = [sizes(log, k, edges[:, 0], edges[:, 1], size[k]) for k, (edges, _) in enumerate(found)]
    counts = [np.bincount(which.ravel(), minlength=len(edges)).astype(np.float64) for edges, which in found]
    typical = [s @ c / c.sum() for s, c in zip(spread, counts, strict=True)]
    passes = [max(1, round(len(c) ** 0.5)) for c in counts]
    label = np.zeros(len(boxes), np.int64)
    for k in axes:
        others = [j for j in axes if j != k]
        other = math.prod([typical[j] for j in others], start=np.ones(len(log)))
        parts = classes(work, spread[k], other, counts[k], math.prod(passes[j] for j in others))
        passes[k], mine = len(parts), np.zeros(len(counts[k]), np.int64)
        for number, part in enumerate(parts):
            mine[part] = number
        label = label * len(parts) + mine[found[k][1].ravel()]
    order = np.lexsort((*(which.ravel() for _, which in reversed(found)), label))
    return [g for g in np.split(order, np.flatnonzero(np.diff(label[order])) + 1) if len(g)]
