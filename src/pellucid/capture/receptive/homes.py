"""Where in the picture each value of a network is at home, so that the layout of a layer need not be guessed.

What a value can depend on (`reach.py`) says little behind attention, squeeze-and-excitation or token mixing: it is the
whole picture. Its home is the part that it describes: of two things joined, the home of the more local one. A skip
connection keeps the home of what it skips, a gate that of what it weighs, and what attention gives is at home where its
query is. Homes follow from the operations alone, not from weights or pictures, so they are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType

import torch
from torch import Tensor

from pellucid.capture.operators import Operator, op
from pellucid.capture.receptive.propagation import Reach
from pellucid.capture.receptive.rules import (
    Doubt,
    OperatorCall,
    around,
    elementwise,
    factors_of,
    lean,
    matrix_product,
    rule_for,
)


class Homes(Reach):  # type: ignore[no-untyped-call]
    """Follows the homes of values, boxes as those of `Reach`, through everything that runs inside it.

    Args:
        image: the very tensor that the network is given.
        beside: other inputs; those that are pictures of the same size have homes at their own pixels.
    """

    def __init__(self, image: Tensor, beside: Iterable[Tensor] = ()) -> None:
        super().__init__(image)
        for other in beside:
            if other.shape[2:] == image.shape[2:]:
                self._start(other)

    def rule(self, call: OperatorCall) -> tuple[Tensor | None, frozenset[Doubt]]:
        """As of `Reach`, but for operations at which the more local operand decides."""
        own = _RULES.get(call.operator) if call.operator else None
        if own is None and elementwise(call):
            own = _nearest_operand
        return rule_for(call) if own is None else (own(call), frozenset())


def nearest(parts: Sequence[Tensor]) -> Tensor:
    """For each element the smallest of its boxes, the box around them where several are; broadcast as by `join`."""
    axes = max(part.ndim for part in parts)
    aligned = [lean(part).reshape(len(part), *[1] * (axes - part.ndim), *lean(part).shape[1:]) for part in parts]
    return reduce(_nearer, aligned)


def _nearer(a: Tensor, b: Tensor) -> Tensor:
    if torch.equal(a, b):  # as along most skip connections
        return a
    mine, other = size(a), size(b)
    return torch.where(mine < other, a, torch.where(other < mine, b, torch.minimum(a, b)))


def size(boxes: Tensor) -> Tensor:
    """Pixels of each box `[2 axes, ...]`, `[1, ...]`; infinity for constants, each of whose sides is minus that."""
    first, last = boxes.chunk(2)
    return (1 - last - first).abs().prod(0, keepdim=True)


def _nearest_operand(call: OperatorCall) -> Tensor:
    return nearest(call.tracked())


def _own(*names: str) -> Callable[[OperatorCall], Tensor]:
    """What normalises, or adds up what came before, leaves every value where it is."""
    return lambda call: call.boxes(next(name for name in names if name in call.given))


def _product(call: OperatorCall) -> Tensor:
    named = factors_of(call)
    if named is None or named[1] == "vec":
        return matrix_product(call)
    first, second, added = named
    a, b = call.boxes(first), call.boxes(second)
    rows, columns = around(a, [-1]), around(b, [-2 if b.ndim > 2 else -1])
    parts = [rows.squeeze(-1) if b.ndim == 2 else rows, columns.squeeze(-1) if b.ndim == 2 else columns]
    return nearest([*parts, *(call.boxes(name) for name in added)])


def _attention(call: OperatorCall) -> Tensor:
    query, key, value = (call.boxes(name) for name in ("query", "key", "value"))
    if query.shape[2:-2] != key.shape[2:-2]:  # fewer keys than queries
        key, value = around(key, range(-key.ndim + 2, 0)), around(value, range(-value.ndim + 2, 0))
    return nearest([around(query, [-1]), around(key, [-2, -1]), around(value, [-2])])


def _common(call: OperatorCall) -> Tensor:
    """Of scores of a query with all keys: what they have in common, which is the query."""
    boxes = call.boxes("self")
    if boxes.ndim < 2:
        return boxes
    axis = call.given["dim"] % (boxes.ndim - 1) + 1
    boxes = lean(boxes)
    every = boxes.amin(axis, keepdim=True)
    shared = boxes.masked_fill(~boxes.isfinite(), -torch.inf).amax(axis, keepdim=True)
    first, last = shared.chunk(2)
    real = (first <= -last).all(0, keepdim=True) & shared.isfinite().all(0, keepdim=True)
    return torch.where(real, shared, every)


_RULES: Mapping[Operator, Callable[[OperatorCall], Tensor]] = MappingProxyType(
    {
        **dict.fromkeys((op.MATMUL, op.LINEAR, op.EINSUM, op.TENSORDOT, op.ADDMM, op.BADDBMM), _product),
        op.FUSED_ATTENTION: _attention,
        **dict.fromkeys((op.SOFTMAX, op.LOG_SOFTMAX), _common),
        **dict.fromkeys((op.LAYER_NORM, op.RMS_NORM, op.GROUP_NORM, op.BATCH_NORM), _own("input")),
        **dict.fromkeys((op.CUMSUM, op.CUMPROD, op.LOGCUMSUMEXP, op.CUMMAX, op.CUMMIN), _own("self")),
        op.NATIVE_ATTENTION: _own("query", "src"),
    }
)
