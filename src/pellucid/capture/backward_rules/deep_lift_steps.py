"""Operations whose backward carries finite difference quotients. Each computes what the network's own call computes.

The first half of the rows are pictures x, the second half their references r; a bar is the mean of both. Every step
hands out the whole difference of its output, and its multipliers do not grow when the picture or the reference comes
close to where the operation is steep:

    y = f(x)         dy / dx, the rescale rule (Shrikumar et al., arXiv:1704.02685, section 3.5.1)
    y = a b          dy = mean(b) da + mean(a) db: the factors' Shapley values (arXiv:1705.07874, section 4.2)
    y = a / b        dy = (da - mean(y) db) / mean(b), which is the line above for a = y b, solved for dy
    softmax          the rescale rule along p = exp(x - l), l = log S, S = sum_j exp x_j. With the logarithmic mean
                     L(s, t) = (s - t) / (ln s - ln t), which lies between s and t:
                     dp_i = L(p_i(x), p_i(r)) (dx_i - dl),   dl = sum_j w_j dx_j,
                     w_j = L(exp x_j, exp r_j) / L(S(x), S(r)), which are positive and sum to at most 1
    max pooling      the winner of the larger of both maxima answers for dy

Dividing by a mean of roots instead of multiplying by the mean of their inverses keeps layer norm and its kin bounded
where the reference has no spread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pellucid.capture.operators import Call, called, depends, made_by, nearest, op, plain_name, routes, softmax_of


def in_pairs(value: Any) -> bool:
    """Whether the rows of a value can be pictures and as many references."""
    return depends(value) and value.ndim > 0 and len(value) % 2 == 0 and not value.is_complex()


def _compute(ctx: Any, call: Call, *inputs: Any) -> Tensor:
    """The call's own result; tells autograd when the call overwrote one of the inputs."""
    func, args, kwargs = call
    before = [x._version if isinstance(x, Tensor) else 0 for x in inputs]
    y: Tensor = func(*args, **kwargs)
    for x, version in zip(inputs, before, strict=True):
        if isinstance(x, Tensor) and x._version != version:
            ctx.mark_dirty(x)
            return x
    return y


def _with_none_for_references(sent: Tensor) -> Tensor:
    return torch.cat([sent, torch.zeros_like(sent)])


class DifferenceStep(torch.autograd.Function):
    """An elementwise operation with the rescale rule. Its node keeps `inverse`: whether values are divided by that."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, call: Call) -> Tensor:
        """What the call gives."""
        func, args, kwargs = call
        before = x.clone()
        y = _compute(ctx, call, x)
        operator = called(func)
        negative = operator is op.POW and isinstance(args[-1], (int, float)) and args[-1] < 0
        ctx.inverse = negative or operator in (op.RSQRT, op.RECIPROCAL)
        ctx.multiplier = _quotient(before, y, lambda t: func(*[t if a is x else a for a in args], **kwargs))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None]:
        """Multipliers of the pictures' inputs; references send nothing."""
        half = len(ctx.multiplier)
        return _with_none_for_references(signal[:half] * ctx.multiplier), None


def _quotient(x: Tensor, y: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """(y(x) - y(r)) / (x - r), and the derivative half-way where both agree but for rounding.

    In units of x and r themselves, so that small values are no rounding. With t the relative distance, the derivative
    is right to t^2 and the quotient's last digits are worth eps / t; t = eps^(2/3) has enough of both.
    """
    picture, reference = x.chunk(2)
    dx = torch.where(picture == reference, 0, picture - reference)  # infinities too, of masks
    dy = y[: len(dx)] - y[len(dx) :]
    close = dx.abs() <= torch.finfo(x.dtype).eps ** (2 / 3) * (picture.abs() + reference.abs())
    quotient = dy / dx.masked_fill(close, 1)
    if not bool(close.any()):
        return quotient
    with torch.enable_grad():
        at = torch.where(dx == 0, picture, (picture + reference) / 2).requires_grad_()
        slope = torch.autograd.grad(function(at.clone()).sum(), at)[0]
    return torch.where(close, slope, quotient)


class MidpointStep(torch.autograd.Function):
    """A product of two values, elementwise or of matrices."""

    @classmethod
    def run(cls, a: Tensor, b: Tensor, product: Callable[[Tensor, Tensor], Tensor], call: Call) -> Tensor | None:
        """The call's result as a step of the graph above both factors, None if their rows are no pairs."""
        if not in_pairs(a) or not in_pairs(b) or len(a) != len(b):
            return None
        result: Tensor = cls.apply(a, b, product, call)
        return result

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, product: Callable[[Tensor, Tensor], Tensor], call: Call) -> Tensor:
        """What the call gives."""
        ctx.product, ctx.middle = product, [(half[0] + half[1]) / 2 for half in (a.chunk(2), b.chunk(2))]
        return _compute(ctx, call, a)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor | None, ...]:
        """Multipliers of the pictures' factors; references send nothing."""
        with torch.enable_grad():
            middle = [t.detach().requires_grad_() for t in ctx.middle]
            y = ctx.product(*middle)
        sent = torch.autograd.grad(y, middle, signal[: len(signal) // 2])
        return *map(_with_none_for_references, sent), None, None


class QuotientStep(torch.autograd.Function):
    """a / b, elementwise, or a q with q = 1 / b: the same multipliers, that of q by dq = -q(x) q(r) db."""

    @classmethod
    def run(cls, a: Any, below: Tensor, call: Call, *, inverse: bool = False) -> Tensor | None:
        """The call's result as a step of the graph, None if the rows are no pairs.

        Args:
            a: depends on the picture or is a constant.
            below: what `a` is divided by, or with `inverse` one divided by that.
            call: what computes the result.
            inverse: which of both.
        """
        if not in_pairs(below) or (depends(a) and (not in_pairs(a) or len(a) != len(below))):
            return None
        result: Tensor = cls.apply(a, below, call, inverse)
        return result

    @staticmethod
    def forward(ctx: Any, a: Any, below: Tensor, call: Call, inverse: bool) -> Tensor:
        """What the call gives."""
        ctx.live = depends(a)
        q, q0 = below.chunk(2)
        b, b0 = (1 / q, 1 / q0) if inverse else (q, q0)
        middle = sum(a.chunk(2)) / 2 if ctx.live else 0
        ctx.shapes = [t.shape if isinstance(t, Tensor) else None for t in (a, below)]
        y = _compute(ctx, call, a, below)
        alike = (b > 0) == (b0 > 0)  # else the mean of both says nothing, and the factors are a and 1 / b
        of_a = torch.where(alike, 2 / (b + b0), (1 / b + 1 / b0) / 2)
        of_b = torch.where(alike, -sum(y.chunk(2)) / (b + b0), -middle / (b * b0))
        ctx.multipliers = of_a, of_b * -b * b0 if inverse else of_b
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor | None, ...]:
        """Multipliers of the pictures' values; references send nothing."""
        half = signal[: len(signal) // 2]
        parts = [
            _with_none_for_references((half * multiplier).sum_to_size((len(half), *shape[1:]))) if shape else None
            for multiplier, shape in zip(ctx.multipliers, ctx.shapes, strict=True)
        ]
        return parts[0] if ctx.live else None, parts[1], None, None


def inverse_of(product: tuple[Tensor, Tensor]) -> int | None:
    """Which factor of a product is one divided by something: the product is a quotient in other words."""
    found = [_is_inverse(factor.grad_fn) for factor in product]
    return found.index(True) if found.count(True) == 1 else None


def _is_inverse(node: Any) -> bool:
    makers = nearest(node, lambda n: made_by(n) is not None or not routes(plain_name(n)))
    return bool(makers) and all(made_by(maker) is DifferenceStep and maker.inverse for maker in makers)


class SoftmaxStep(torch.autograd.Function):
    """Softmax, or its logarithm, along an axis that is not that of the rows."""

    @classmethod
    def run(cls, call: Call) -> Tensor | None:
        """The call's result as a step of the graph, None if its rows are no pairs or are mixed."""
        found = softmax_of(call)
        if found is None or not in_pairs(found[0]) or found[1] % found[0].ndim == 0:
            return None
        x, dim, dtype, logarithm = found
        result: Tensor = cls.apply(x if dtype is None else x.to(dtype), dim, logarithm)
        return result

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, logarithm: bool) -> Tensor:
        """What the call gives."""
        y = x.log_softmax(dim) if logarithm else x.softmax(dim)
        ctx.save_for_backward(x)
        ctx.dim, ctx.logarithm = dim, logarithm
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None, None]:
        """Multipliers of the pictures' values; references send nothing."""
        (x,), dim = ctx.saved_tensors, ctx.dim
        largest = torch.maximum(*x.amax(dim, keepdim=True).chunk(2))  # near 0, logarithms have the most digits
        x = x - torch.cat([largest, largest])
        values, totals = x.chunk(2), x.logsumexp(dim, keepdim=True).chunk(2)
        of_p = signal[: len(values[0])]
        if not ctx.logarithm:
            of_p = of_p * _mean_of_exponentials(*x.log_softmax(dim).chunk(2)).exp()
        weights = (_mean_of_exponentials(*values) - _mean_of_exponentials(*totals)).exp()
        return _with_none_for_references(of_p - weights * of_p.sum(dim, keepdim=True)), None, None


def _mean_of_exponentials(a: Tensor, b: Tensor) -> Tensor:
    """The logarithm of L(exp a, exp b): max(a, b) + ln((1 - exp -d) / d), with d = |a - b|."""
    d = torch.where(a == b, 0, (a - b).abs())  # minus infinity twice, of masks, is no difference
    share = torch.where(d == 0, 1, -torch.expm1(-d) / d.masked_fill(d == 0, 1))
    return torch.maximum(a, b) + share.log()


class MaxPoolStep(torch.autograd.Function):
    """Max pooling over all axes behind the channels, in windows or as a whole."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pool: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        """What `pool` gives: the maxima, and where in its flattened map each of them was."""
        y, indices = pool(x)
        (picture, reference), (out, out_reference) = x.flatten(2).chunk(2), y.flatten(2).chunk(2)
        own, other = indices.flatten(2).chunk(2)
        winner = torch.where(out >= out_reference, own, other)
        dx = picture.gather(2, winner) - reference.gather(2, winner)
        dy = out - out_reference
        ctx.multiplier = torch.where(dx == 0, torch.ones_like(dx), dy / dx.masked_fill(dx == 0, 1))
        ctx.winner, ctx.shape = winner, x.shape
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None]:
        """Multipliers of the pictures' inputs; references send nothing."""
        half = len(ctx.winner)
        back = signal.new_zeros(ctx.shape).flatten(2)
        back[:half].scatter_add_(2, ctx.winner, signal[:half].flatten(2) * ctx.multiplier)
        return back.reshape(ctx.shape), None
