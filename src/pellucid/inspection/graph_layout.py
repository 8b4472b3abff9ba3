"""Where the parts of a box stand: ranks, order and lanes; too many parts are folded, run by run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pellucid.inspection.graph_box import ABOVE, BELOW, MOST, GraphBox, GraphLine


def folded(box: GraphBox, pairs: Sequence[tuple[int, int]]) -> GraphBox:
    """Arrange a box's items; if there are too many, runs of them become boxes of their own first.

    Args:
        box: with its items, not arranged yet.
        pairs: connections between the items, by their numbers, `ABOVE` and `BELOW`; they only run forwards.
    """
    ends = sum(item.family == "end" for item in box.items)
    while len(box.items) > MOST + ends:
        box, pairs = _fold_once(box, pairs)
    return arranged(box, pairs)


def _fold_once(box: GraphBox, pairs: Sequence[tuple[int, int]]) -> tuple[GraphBox, list[tuple[int, int]]]:
    """Make one box of every run of items; the network's input and output stay alone."""
    runs = _runs(box.items)
    where = {k: (number, k - run.start) for number, run in enumerate(runs) for k in run}
    inner: list[dict[tuple[int, int], None]] = [{} for _ in runs]
    outer: dict[tuple[int, int], None] = {}
    for a, b in pairs:
        (run_a, place_a), (run_b, place_b) = where.get(a, (a, a)), where.get(b, (b, b))
        if run_a == run_b:
            inner[run_a][place_a, place_b] = None
            continue
        outer[run_a, run_b] = None
        if a >= 0:
            inner[run_a][place_a, BELOW] = None
        if b >= 0:
            inner[run_b][ABOVE, place_b] = None
    made = [
        _run(box, run, list(found)) if len(run) > 1 else box.items[run.start]
        for run, found in zip(runs, inner, strict=True)
    ]
    return replace(box, items=tuple(made)), list(outer)


def _runs(items: Sequence[GraphBox]) -> list[range]:
    first = 1 if items[0].family == "end" else 0
    last = len(items) - (items[-1].family == "end")
    length = max(2, min(MOST // 2, math.ceil((last - first) / (MOST // 2))))
    middle = [range(start, min(start + length, last)) for start in range(first, last, length)]
    return [*(range(k, k + 1) for k in range(first)), *middle, *(range(k, k + 1) for k in range(last, len(items)))]


def _run(box: GraphBox, run: range, pairs: Sequence[tuple[int, int]]) -> GraphBox:
    items = box.items[run.start : run.stop]
    whole = sum(item.count if item.family == "run" else 1 for item in items)
    made = GraphBox(
        f"{_end(items[0], 0)} … {_end(items[-1], -1)}", path=box.path, family="run", detail=f"{whole} parts",
        shape=items[-1].shape, parameters=sum(i.parameters for i in items),
        multiply_adds=sum(i.multiply_adds for i in items), items=items,
    )  # fmt: skip
    return arranged(made, pairs)


def _end(box: GraphBox, side: int) -> str:
    """The name of the first or last part of a run."""
    return _end(box.items[side], side) if box.family == "run" else box.name or box.label


def arranged(box: GraphBox, pairs: Sequence[tuple[int, int]]) -> GraphBox:
    """Give a box's items their ranks, their order from left to right, and lanes to long connections."""
    if not box.items:
        return box
    above: list[list[int]] = [[] for _ in box.items]
    for a, b in pairs:
        if a >= 0 and b >= 0:
            above[b].append(a)
    level: list[int] = []
    for k in range(len(box.items)):
        level.append(1 + max((level[a] for a in above[k]), default=-1))
    if box.items[-1].family == "end":
        level[-1] = max(level[:-1], default=-1) + 1  # the output stands below all else
    ranks = _ordered(level, above)
    lines, lanes = _with_lanes(pairs, level)
    return replace(box, ranks=tuple(map(tuple, ranks)), lines=tuple(lines), lanes=lanes)


def _ordered(level: Sequence[int], above: Sequence[Sequence[int]]) -> list[list[int]]:
    """Items rank by rank, each rank in the order of the middles of what its items hear from."""
    ranks: list[list[int]] = [[] for _ in range(max(level) + 1)]
    middle: dict[int, float] = {}
    for k, rank in enumerate(level):
        ranks[rank].append(k)
    for items in ranks:
        wish = {k: sum(middle[a] for a in above[k]) / len(above[k]) if above[k] else 0.5 for k in items}
        items.sort(key=lambda k: (wish[k], k))
        middle |= {k: (place + 0.5) / len(items) for place, k in enumerate(items)}
    return ranks


def _with_lanes(pairs: Sequence[tuple[int, int]], level: Sequence[int]) -> tuple[list[GraphLine], int]:
    """Connections that skip a rank share one lane per start; lanes are taken again when they are free."""
    bottom = max(level) + 1

    def rank(end: int) -> int:
        return -1 if end == ABOVE else bottom if end == BELOW else level[end]

    reach: dict[int, int] = {}
    for a, b in pairs:
        if rank(b) - rank(a) > 1:
            reach[a] = max(reach.get(a, 0), rank(b))
    free: list[int] = []  # per lane, the rank where it ends
    lane: dict[int, int] = {}
    for a in sorted(reach, key=lambda a: (rank(a), reach[a])):
        taken = next((k for k, end in enumerate(free) if end <= rank(a)), len(free))
        free[taken : taken + 1] = [reach[a]]
        lane[a] = taken + 1
    lines = [GraphLine(a, b, lane[a] if rank(b) - rank(a) > 1 else 0) for a, b in pairs]
    return lines, len(free)
