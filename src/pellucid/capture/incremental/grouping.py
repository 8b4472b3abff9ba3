"""Which variants share a pass: those whose boxes stay alike, so that the common size wastes little."""

from __future__ import annotations

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
    """How many rows (axis 0) or columns (1) of each value in the log differ, `[entry, interval]`."""
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
        other: typical sizes along the other one `[entry]`.
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


def group(log: Sequence[LogEntry], boxes: Places, size: tuple[int, int]) -> list[Places]:
    """Numbers of the variants that share a pass, in an order that keeps equal boxes together.

    Args:
        log: how boxes come about in this network.
        boxes: top, left, bottom and right of each variant, `[count, 4]`.
        size: rows and columns of the picture.
    """
    work = np.array([entry.work for entry in log])
    found = [np.unique(boxes[:, [k, k + 2]], axis=0, return_inverse=True) for k in (0, 1)]
    spread = [sizes(log, k, edges[:, 0], edges[:, 1], size[k]) for k, (edges, _) in enumerate(found)]
    counts = [np.bincount(which.ravel(), minlength=len(edges)).astype(np.float64) for edges, which in found]
    typical = [s @ c / c.sum() for s, c in zip(spread, counts, strict=True)]
    down = classes(work, spread[0], typical[1], counts[0], max(1, round(len(counts[1]) ** 0.5)))
    across = classes(work, spread[1], typical[0], counts[1], len(down))
    label = [np.zeros(len(c), dtype=np.int64) for c in counts]
    for k, parts in enumerate((down, across)):
        for number, part in enumerate(parts):
            label[k][part] = number
    row, column = (lab[which.ravel()] for lab, (_, which) in zip(label, found, strict=True))
    both = row * len(across) + column
    order = np.lexsort((found[1][1].ravel(), found[0][1].ravel(), both))
    return [g for g in np.split(order, np.flatnonzero(np.diff(both[order])) + 1) if len(g)]
