"""Differences: a rewriting under which every operation sends back a finite difference quotient instead of a derivative.

Picture x and reference r go through the network in one batch. With y the output of an elementwise operation,

    m_x = m_y (y(x) - y(r)) / (x - r)          the rescale rule (Shrikumar et al., arXiv:1704.02685, section 3.5.1)

and m_x = m_y y'(x) where the two inputs agree. In max pooling the larger of both outputs decides who is responsible:
the winner of that window in its own half. A product of two values that both depend on the picture sends back what its
derivative is half-way between picture and reference: its two factors' Shapley values (Lundberg & Lee,
arXiv:1705.07874, section 4.2). Softmax, norms over a sample, attention and quotients are computed in steps of these
kinds. Linear operations need nothing: their derivative is the quotient. Then sum m (x - r) = S(x) - S(r) exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pellucid.capture.graph import is_linear, made_by, strangers
from pellucid.capture.normalising import SAMPLE_NORMS, sample_norm
from pellucid.capture.operations import (
    ELEMENTWISE,
    FACTORS,
    MATRIX_PRODUCTS,
    SOFTMAX,
    Call,
    product_of_two,
    quotient,
    softmax_of,
    writes,
)
from pellucid.capture.rewriting import Rewriting, bind, depends, functions
from pellucid.capture.rules import OTHER_ACTIVATIONS, as_rectifier
from pellucid.capture.stepwise import COMPOSITE, attend, attention_weights, stepwise
from pellucid.errors import BadOption
from pellucid.numerics import full_precision
from pellucid.targets import Target
from pellucid.types import Model

_MAX_POOL = functions("max_pool2d") | {F.max_pool2d}


class Differences(Rewriting):
    """Multipliers with respect to a reference: one value, or a tensor that broadcasts over a picture."""

    def __init__(self, baseline: float | Tensor = 0.0) -> None:
        super().__init__()
        if isinstance(baseline, bool) or not isinstance(baseline, (int, float, Tensor)):
            raise BadOption(f"expected a number as baseline of the method, got {baseline!r}.")
        self.baseline = baseline
        self.reference_scores: list[Tensor] = []

    def feed(self, rows: Tensor, model: Model) -> Tensor:  # noqa: ARG002
        """The pictures and, behind them, as many references."""
        reference = torch.as_tensor(self.baseline, dtype=rows.dtype, device=rows.device)
        return torch.cat([rows, reference.expand_as(rows)])

    def score(self, target: Target, output: Any, samples: Tensor, model: Model) -> Tensor:
        """The pictures' scores."""
        both = target.score(output, torch.cat([samples, samples]), model)
        self.reference_scores.append(full_precision(both[len(samples) :].detach()))
        return both[: len(samples)]

    def collected(self, number: int) -> Mapping[str, Tensor]:
        """The references' scores."""
        return {"reference_score": self.reference_scores[number]}

    def uncovered(self, made: Collection[Any]) -> tuple[str, ...]:
        """Operations that are neither linear nor rewritten here."""
        known = (DifferenceStep, MaxPoolStep, MidpointStep)
        return strangers(made, lambda n: made_by(n) in known if made_by(n) else is_linear(n), OTHER_ACTIVATIONS)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        call = (func, args, kwargs or {})
        replaced = self._replace(call) if torch.is_grad_enabled() else None
        return func(*args, **call[2]) if replaced is None else replaced

    def _replace(self, call: Call) -> Any:
        func, args, kwargs = call
        in_steps = _IN_STEPS.get(func)
        if in_steps:
            with self:
                return in_steps(call)
        if func in _MAX_POOL:
            return _max_pool(args, kwargs)
        if func in FACTORS | MATRIX_PRODUCTS:
            product, fraction = product_of_two(call), quotient(call)
            if fraction and not writes(call):
                with self:
                    return torch.mul(fraction[0], torch.reciprocal(fraction[1]))
            return MidpointStep.run(*product, call) if product else None
        return _elementwise(call)


def _elementwise(call: Call) -> Tensor | None:
    func, args, kwargs = call
    found = as_rectifier(func, args, kwargs)
    x = found[0] if found else args[0] if args and func in ELEMENTWISE else None
    if not _in_pairs(x) or any(map(depends, (*args[1:], *kwargs.values()))):
        return None
    result: Tensor = DifferenceStep.apply(x, call)
    return result


def _in_pairs(value: Any) -> bool:
    return depends(value) and value.ndim > 0 and len(value) % 2 == 0


def _softmax(call: Call) -> Tensor | None:
    """exp(x - c) / sum exp(x - c), with one c for each picture and its reference."""
    found = softmax_of(call)
    if found is None or not _in_pairs(found[0]):
        return None
    x, dim, dtype, logarithm = found
    x = x if dtype is None else x.to(dtype)
    picture, reference = x.detach().amax(dim, keepdim=True).chunk(2)
    shifted = x - torch.cat([(picture + reference) / 2] * 2)
    weights = torch.exp(shifted)
    total = weights.sum(dim, keepdim=True)
    return shifted - torch.log(total) if logarithm else weights * torch.reciprocal(total)


def _norm(call: Call) -> Tensor | None:
    norm = sample_norm(call)
    if norm is None:
        return None
    groups = norm.centre(norm.x)
    spread = (groups * groups).mean(norm.axes, keepdim=True) + norm.eps
    return norm.finish(groups * torch.rsqrt(spread), norm.weight, norm.bias)


def _attention(call: Call) -> Tensor:
    _, args, kwargs = call
    return attend(attention_weights(*args, **kwargs), kwargs["value"] if "value" in kwargs else args[2])


def _composite(call: Call) -> Any:
    func, args, kwargs = call
    return stepwise(func)(*args, **kwargs)


_IN_STEPS: Mapping[Any, Callable[[Call], Any]] = {
    F.scaled_dot_product_attention: _attention,
    **dict.fromkeys(COMPOSITE, _composite),
    **dict.fromkeys(SAMPLE_NORMS, _norm),
    **dict.fromkeys(SOFTMAX, _softmax),
}


def _max_pool(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    x, *window, with_indices = bind(
        args, kwargs, ("input", None), ("kernel_size", None), ("stride", None), ("padding", 0), ("dilation", 1),
        ("ceil_mode", False), ("return_indices", False),
    )  # fmt: skip
    if with_indices or not depends(x) or x.ndim != 4 or len(x) % 2:
        return None
    result: Tensor = MaxPoolStep.apply(x, window)
    return result


class DifferenceStep(torch.autograd.Function):
    """An elementwise operation with the rescale rule; the second half of the rows are the references."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, call: Call) -> Tensor:
        """What the call gives."""
        func, args, kwargs = call
        before, version = x.clone(), x._version
        y: Tensor = func(*args, **kwargs)
        if x._version != version:
            ctx.mark_dirty(x)
            y = x
        ctx.multiplier = _quotient(before, y, lambda t: func(*[t if a is x else a for a in args], **kwargs))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None]:
        """Multipliers of the pictures' inputs; references send nothing."""
        half = len(ctx.multiplier)
        return torch.cat([signal[:half] * ctx.multiplier, torch.zeros_like(signal[half:])]), None


def _quotient(x: Tensor, y: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """(y(x) - y(r)) / (x - r), and the derivative where x and r are too close for the difference to mean anything."""
    picture, reference = x.chunk(2)
    dx = torch.where(picture == reference, 0, picture - reference)  # infinities too, of masks
    dy = y[: len(dx)] - y[len(dx) :]
    close = dx.abs() <= torch.finfo(x.dtype).eps ** 0.75 * (1 + picture.abs())
    quotient = dy / dx.masked_fill(close, 1)
    if not bool(close.any()):
        return quotient
    with torch.enable_grad():
        at = picture.detach().clone().requires_grad_()
        slope = torch.autograd.grad(function(at.clone()).sum(), at)[0]
    return torch.where(close, slope, quotient)


class MidpointStep(torch.autograd.Function):
    """A product of two values; the second half of the rows of both are the references'."""

    @classmethod
    def run(cls, a: Tensor, b: Tensor, product: Callable[[Tensor, Tensor], Tensor], call: Call) -> Tensor | None:
        """The call's result as a step of the graph above both factors, None if their rows are no pairs."""
        if not _in_pairs(a) or not _in_pairs(b) or len(a) != len(b):
            return None
        result: Tensor = cls.apply(a, b, product, call)
        return result

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, product: Callable[[Tensor, Tensor], Tensor], call: Call) -> Tensor:
        """What the call gives."""
        func, args, kwargs = call
        ctx.product, ctx.middle = product, [(half[0] + half[1]) / 2 for half in (a.chunk(2), b.chunk(2))]
        y: Tensor = func(*args, **kwargs)
        if y is a:
            ctx.mark_dirty(a)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor | None, ...]:
        """Multipliers of the pictures' factors; references send nothing."""
        with torch.enable_grad():
            middle = [t.detach().requires_grad_() for t in ctx.middle]
            y = ctx.product(*middle)
        sent = torch.autograd.grad(y, middle, signal[: len(signal) // 2])
        return *(torch.cat([t, torch.zeros_like(t)]) for t in sent), None, None


class MaxPoolStep(torch.autograd.Function):
    """Max pooling over rows and columns; the second half of the rows are the references."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: list[Any]) -> Tensor:
        """What the call gives."""
        y, indices = F.max_pool2d(x, *window, return_indices=True)
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
