"""Operations that a rewriting sees only whole, written as steps of simpler ones that it has rules for.

Each gives the values of the call that it stands for, and is called with the rewriting in force:

    |x| = sqrt(sum x^2)                   norms, cosine similarity, distances
    var x = mean (x - mean x)^2           variance and standard deviation
    log sum exp x = x_0 - log softmax(x)_0
    max(a, b) = amax of both, side by side
    circular padding = places picked along each axis

What is left whole, such as other powers than 2, is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.operators import IN_PARTS, Call, Operator, called, depends, in_parts, op, stepwise

_EUCLIDEAN = (2, 2.0, "fro", None)


def _arguments(operator: Operator, call: Call) -> list[Any]:
    """All arguments of a call in the order of its operator's record.

    Raises:
        TypeError: a call with other arguments, or one whose result is written elsewhere.
    """
    named = operator.bind(call[1], call[2], call[0])
    if named.pop("out", None) is not None:
        raise TypeError
    return [*named.values()]


def _glu(call: Call) -> Tensor:
    x, dim = _arguments(op.GLU, call)
    a, b = x.chunk(2, dim)
    product: Tensor = a * b.sigmoid()
    return product


def _norm(call: Call) -> Tensor | None:
    x, order, dim, keepdim, dtype = _arguments(op.NORM, call)
    if dim is None or order not in _EUCLIDEAN or dtype is not None or not depends(x):
        return None
    if call[0] is torch.linalg.norm and order == 2 and not isinstance(dim, int) and len(dim) == 2:
        return None  # the largest singular value of a matrix
    return _length(x, dim, keepdim=keepdim)


def _length(x: Tensor, dim: Any, *, keepdim: bool) -> Tensor:
    return torch.sqrt((x * x).sum(dim, keepdim=keepdim))


def _cosine(call: Call) -> Tensor | None:
    a, b, dim, eps = _arguments(op.COSINE_SIMILARITY, call)
    if a.ndim != b.ndim or a.shape[dim] != b.shape[dim]:
        return None
    a, b = (t / _length(t, dim, keepdim=True).clamp_min(eps) for t in (a, b))
    similarity: Tensor = (a * b).sum(dim)
    return similarity


def _distance(call: Call) -> Tensor | None:
    a, b, order, eps, keepdim = _arguments(op.PAIRWISE_DISTANCE, call)
    return _length(a - b + eps, -1, keepdim=keepdim) if order in _EUCLIDEAN else None


def _variance(call: Call) -> Tensor | None:
    x, dim, unbiased, keepdim, correction = _arguments(op.VAR, call)
    if dim is None or isinstance(dim, bool) or not depends(x):
        return None
    correction = correction if "correction" in call[2] else int(unbiased)
    count = math.prod(x.shape[axis] for axis in ([dim] if isinstance(dim, int) else dim))
    centred = x - x.mean(dim, keepdim=True)
    variance: Tensor = (centred * centred).sum(dim, keepdim=keepdim) * (1 / (count - correction))
    return torch.sqrt(variance) if called(call[0]) is op.STD else variance


def _log_sum_exp(call: Call) -> Tensor | None:
    x, dim, keepdim = _arguments(op.LOGSUMEXP, call)
    axes = sorted({axis % x.ndim for axis in ([dim] if isinstance(dim, int) else dim)})
    for axis in axes:
        x = x.narrow(axis, 0, 1) - x.log_softmax(axis).narrow(axis, 0, 1)
    for axis in () if keepdim else axes[::-1]:
        x = x.squeeze(axis)
    result: Tensor = x
    return result


def _larger(call: Call) -> Tensor | None:
    operands = (*call[1], *call[2].values())
    if len(operands) != 2 or not all(isinstance(value, Tensor) for value in operands):
        return None  # max along an axis
    a, b = operands
    both = torch.stack([a + torch.zeros_like(b), b + torch.zeros_like(a)], -1)
    return both.amin(-1) if called(call[0]) in _SMALLER else both.amax(-1)


def _add_product(call: Call) -> Tensor:
    x, a, b, value = _arguments(op.ADDCMUL, call)
    total: Tensor = x + a * b * value
    return total


def _between(call: Call) -> Tensor:
    a, b, weight = _arguments(op.LERP, call)
    point: Tensor = a + (b - a) * weight
    return point


def _composite(call: Call) -> Any:
    return stepwise(call[0])(*call[1], **call[2])


_SMALLER = frozenset({op.MINIMUM, op.FMIN, op.MIN})
IN_STEPS: dict[Operator, Callable[[Call], Any]] = {
    op.GLU: _glu,
    op.NORM: _norm,
    op.COSINE_SIMILARITY: _cosine,
    op.PAIRWISE_DISTANCE: _distance,
    **dict.fromkeys((op.VAR, op.STD), _variance),
    op.LOGSUMEXP: _log_sum_exp,
    **dict.fromkeys((op.MAXIMUM, op.FMAX, op.MAX, *_SMALLER), _larger),
    op.ADDCMUL: _add_product,
    op.LERP: _between,
    **dict.fromkeys(IN_PARTS, in_parts),
    **dict.fromkeys((op.LOCAL_RESPONSE_NORM, op.NORMALIZE, op.SOFTMIN), _composite),
}
