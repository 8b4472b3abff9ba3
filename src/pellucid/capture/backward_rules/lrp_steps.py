"""Operations whose backward carries relevance. Each computes what the network's own call computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pellucid.capture.backward_rules.lrp_rules import RelevanceRule, at_full_precision
from pellucid.capture.backward_rules.lrp_rules import epsilon as share_all
from pellucid.capture.operators import Affine, Call, depends, held


def _result_of(call: Call) -> Tensor:
    func, args, kwargs = call
    y: Tensor = func(*args, **kwargs)
    return y


def _compute(ctx: Any, x: Any, call: Call) -> Tensor:
    """The call's own result; tells autograd when the call overwrote `x`."""
    before = x._version if isinstance(x, Tensor) else 0
    y = _result_of(call)
    if isinstance(x, Tensor) and x._version != before:
        ctx.mark_dirty(x)
        return x
    return y


class AffineStep(torch.autograd.Function):
    """A linear operation that hands relevance down by a rule.

    `operation` may be another one than the call: batch norm right above a convolution is one operation with it, seen
    from the convolution's input.
    """

    @classmethod
    def run(cls, x: Tensor, operation: Affine, rule: RelevanceRule, call: Call) -> Tensor:
        """The call's result as a step of the graph above x."""
        result: Tensor = cls.apply(x, operation, rule, call)
        return result

    @staticmethod
    def forward(ctx: Any, x: Tensor, operation: Affine, rule: RelevanceRule, call: Call) -> Tensor:
        """What the call gives."""
        ctx.save_for_backward(x)
        ctx.operation, ctx.rule = operation, rule
        return _result_of(call)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, relevance: Tensor) -> tuple[Tensor | None, ...]:
        """Relevance of the inputs."""
        (x,) = ctx.saved_tensors
        return at_full_precision(ctx.rule, ctx.operation, x, relevance), None, None, None


class PassStep(torch.autograd.Function):
    """Passes relevance on unchanged, except where the input was multiplied by zero.

    Its node in the graph keeps `kind`: `factor` (the other factor is a constant), `weight` (the other factor is held
    constant), `rectifier`, `capped` (a rectifier with a ceiling), `squashing` (a sigmoid) or `activation` (any other).
    """

    @classmethod
    def run(cls, x: Tensor, scale: Any, call: Call, kind: str = "factor") -> Tensor:
        """The call's result as a step of the graph above x; `scale` is the constant that x is multiplied by."""
        keep = scale != 0
        result: Tensor = cls.apply(x, None if keep is True else keep, call, kind)
        return result

    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor | bool | None, call: Call, kind: str) -> Tensor:
        """What the call gives."""
        ctx.keep, ctx.shape, ctx.kind, ctx.function = keep, x.shape, kind, call[0]
        return _compute(ctx, x, call)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, relevance: Tensor) -> tuple[Tensor | None, ...]:
        """Relevance of the inputs."""
        kept = relevance if ctx.keep is None else relevance * ctx.keep
        return kept.sum_to_size(ctx.shape), None, None, None


class SumStep(torch.autograd.Function):
    """x + y, whose relevance is split by shares that are known beforehand."""

    @classmethod
    def run(cls, summands: tuple[Any, ...], shares: tuple[Tensor, Tensor], call: Call) -> Tensor:
        """The call's result as a step of the graph above those of its arguments that depend on the picture."""
        result: Tensor = cls.apply(*summands, shares, call)
        return result

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, shares: tuple[Tensor, Tensor], call: Call) -> Tensor:
        """What the call gives."""
        ctx.shares = [
            (share, value.shape) if depends(value) else None for share, value in zip(shares, (x, y), strict=True)
        ]
        return _compute(ctx, x, call)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, relevance: Tensor) -> tuple[Tensor | None, ...]:
        """Relevance of the inputs."""
        parts = [None if s is None else (relevance * s[0]).sum_to_size(s[1]) for s in ctx.shares]
        return (*parts, None, None)


class ProductStep(torch.autograd.Function):
    """A product of two values that both depend on the picture: half of the relevance to each (uniform rule).

    Achtibat et al. 2024, arXiv:2402.05602, section 3.3.2.
    """

    @classmethod
    def run(cls, a: Tensor, b: Tensor, product: Callable[[Tensor, Tensor], Tensor], call: Call) -> Tensor:
        """The call's result as a step of the graph above both."""
        result: Tensor = cls.apply(a, b, product, call)
        return result

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, product: Callable[[Tensor, Tensor], Tensor], call: Call) -> Tensor:
        """What the call gives."""
        ctx.save_for_backward(a, b)
        ctx.product = product
        return _result_of(call)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, relevance: Tensor) -> tuple[Tensor | None, ...]:
        """Relevance of the inputs."""
        a, b = ctx.saved_tensors
        halves = [
            at_full_precision(share_all, held(a, b, ctx.product, side=side, kind="pooling")[1], x, relevance / 2)
            for side, x in ((1, a), (0, b))
        ]
        return halves[0], halves[1], None, None
