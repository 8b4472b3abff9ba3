"""Differences: a rewriting under which every operation sends back a finite difference quotient instead of a derivative.

Picture x and reference r go through the network in one batch. With y the output of an elementwise operation,

    m_x = m_y (y(x) - y(r)) / (x - r)          the rescale rule (Shrikumar et al., arXiv:1704.02685, section 3.5.1)

and m_x = m_y y'(x) where the two inputs agree. In max pooling the larger of both outputs decides who is responsible:
the winner of that window in its own half. A product of two values that both depend on the picture sends back what its
derivative is half-way between picture and reference: its two factors' Shapley values (Lundberg & Lee,
arXiv:1705.07874, section 4.2). Quotients and softmax have rules that stay bounded; `difference_steps.py` has all
formulas. Norms over a sample and attention are computed in steps of these kinds. Linear operations need nothing: their
derivative is the quotient. Then sum m (x - r) = S(x) - S(r), but for rounding, which `holds` watches.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.backward_rules.base import Rewriting
from pellucid.capture.backward_rules.deep_lift_steps import (
    DifferenceStep,
    MaxPoolStep,
    MidpointStep,
    QuotientStep,
    SoftmaxStep,
    in_pairs,
    inverse_of,
)
from pellucid.capture.backward_rules.in_steps import IN_STEPS as SIMPLER
from pellucid.capture.backward_rules.relu import activation_word, as_rectifier
from pellucid.capture.operators import (
    FACTORS,
    MATRIX_PRODUCTS,
    SAMPLE_NORMS,
    STEPPED,
    Call,
    Operator,
    attend,
    attention_weights,
    called,
    declined,
    depends,
    is_linear,
    made_by,
    of,
    op,
    product_of_two,
    quotient,
    sample_norm,
    strangers,
)
from pellucid.contracts import Model
from pellucid.errors import BadOption
from pellucid.numerics import full_precision, per_row, sums_up
from pellucid.targets import Target


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
        return torch.cat([rows, self._reference(rows).expand_as(rows)])

    def _reference(self, rows: Tensor) -> Tensor:
        """What stands beside each of the rows `[n, channel, *axes]`; broadcasts over them.

        Raises:
            BadOption: a tensor that does not fit, or with a reference for each.
        """
        given = torch.as_tensor(self.baseline, dtype=rows.dtype, device=rows.device)
        shaped = per_row(given, rows[0]) if given.ndim == 1 else given  # a colour
        alike = shaped.ndim in (0, rows.ndim - 1) or (shaped.ndim == rows.ndim and len(shaped) == 1)
        if alike and all(n in (1, m) for n, m in zip(shaped.shape[::-1], rows.shape[::-1], strict=False)):
            return shaped
        raise BadOption(
            "Expected a tensor [channel] or [channel, row, column] as baseline, the same for all pictures, got "
            f"{list(given.shape)}."
        )

    def score(self, target: Target, output: Any, samples: Tensor, model: Model) -> Tensor:
        """The pictures' scores."""
        both = target.score(output, torch.cat([samples, samples]), model)
        self.reference_scores.append(full_precision(both[len(samples) :].detach()))
        return both[: len(samples)]

    def holds(self, rows: Tensor, signal: Tensor, score: Tensor, number: int) -> bool:
        """Whether the contributions sum to the difference of the scores, but for rounding."""
        others = self.reference_scores[number]
        return sums_up(full_precision(signal * (rows - self._reference(rows))), score - others, score, others)

    def collected(self, number: int) -> Mapping[str, Tensor]:
        """The references' scores."""
        return {"reference_score": self.reference_scores[number]}

    def uncovered(self, made: Collection[Any]) -> tuple[str, ...]:
        """Operations that are neither linear nor rewritten here."""
        known = (DifferenceStep, MaxPoolStep, MidpointStep, QuotientStep, SoftmaxStep)
        return strangers(made, lambda n: made_by(n) in known if made_by(n) else is_linear(n), activation_word)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.check_call(func)
        call = (func, args, kwargs or {})
        replaced = self._replace(call) if torch.is_grad_enabled() else None
        return func(*args, **call[2]) if replaced is None else replaced

    def _replace(self, call: Call) -> Any:
        operator = called(call[0])
        if operator is None:
            return None
        in_steps = IN_STEPS.get(operator)
        if in_steps:
            with self:
                found = in_steps(call)
            if found is not None:
                return found
        rule = RULES.get(operator)
        return rule(call) if rule else None


def _product(call: Call) -> Tensor | None:
    product, fraction = product_of_two(call), quotient(call)
    if fraction:
        return QuotientStep.run(*fraction, call)
    if product is None:
        return None
    factors = product[0], product[1]
    side = None if called(call[0]) in MATRIX_PRODUCTS else inverse_of(factors)
    if side is None:
        return MidpointStep.run(*product, call)
    return QuotientStep.run(factors[1 - side], factors[side], call, inverse=True)


def _elementwise(call: Call) -> Tensor | None:
    func, args, kwargs = call
    found = as_rectifier(func, args, kwargs)
    x = found[0] if found else args[0] if args else None
    if not in_pairs(x) or any(map(depends, (*args[1:], *kwargs.values()))):
        return None
    result: Tensor = DifferenceStep.apply(x, call)
    return result


def _chosen(call: Call) -> Tensor | None:
    """A choice by a mask between a value and 0: a rectifier where it gives max(x, 0) for every picture and reference.

    A mask that is the same for a picture and its reference is a constant factor.
    """
    func, args, kwargs = call
    live = [value for value in (*args, *kwargs.values()) if depends(value)]
    if len(live) != 1 or not in_pairs(live[0]) or func.__name__.endswith("_"):
        return None
    (x,) = live
    with torch.no_grad():
        result = func(*args, **kwargs)
        same = isinstance(result, Tensor) and result.shape == x.shape and torch.equal(result, x.clamp(min=0))
    if same:
        step: Tensor = DifferenceStep.apply(x, (torch.relu, (x,), {}))
        return step
    if not isinstance(result, Tensor) or result.shape != x.shape or called(func) is not op.MASKED_FILL:
        return None
    _, mask, value = op.MASKED_FILL.bind(args, kwargs, func).values()
    halves = mask.expand_as(x).chunk(2)
    if isinstance(value, Tensor) or value != 0 or not torch.equal(*halves):
        return None
    product: Tensor = x * ~mask
    return product


def _norm(call: Call) -> Tensor | None:
    norm = sample_norm(call)
    if norm is None:
        return None
    groups = norm.centre(norm.x)
    spread = (groups * groups).mean(norm.axes, keepdim=True) + norm.eps
    return norm.finish(groups / torch.sqrt(spread), norm.weight, norm.bias)


def _attention(call: Call) -> Tensor:
    _, args, kwargs = call
    return attend(attention_weights(*args, **kwargs), kwargs["value"] if "value" in kwargs else args[2])


IN_STEPS: dict[Operator, Callable[[Call], Any]] = {
    **SIMPLER,
    op.FUSED_ATTENTION: _attention,
    **dict.fromkeys(SAMPLE_NORMS, _norm),
}
"""What is computed in steps that have rules; where that gives None, a rule of `RULES` is tried."""


def _max_pool(call: Call) -> Tensor | None:
    func, args, kwargs = call
    operator = called(func)
    if operator is None:
        return None
    x, *window, with_indices = operator.bind(args, kwargs, func).values()
    axes = _axes_of(func)
    if with_indices or func.__name__.endswith("_with_indices") or not depends(x) or x.ndim != axes + 2 or len(x) % 2:
        return None
    pool = _WITH_INDICES[operator, axes]
    result: Tensor = MaxPoolStep.apply(x, lambda t: pool(t, *window, return_indices=True))
    return result


def _axes_of(func: Any) -> int:
    """How many axes of places a function with their number in its name has."""
    return int(next(letter for letter in func.__name__ if letter.isdigit()))


def _largest(call: Call) -> Any:
    """Maxima or minima along axes that are not that of the rows, with their places if the call gives them."""
    func, args, kwargs = call
    named = op.MAX.bind(args, kwargs)
    x, dim = named["input"], named["dim"]
    if dim is None or isinstance(dim, Tensor) or not in_pairs(x):
        return None
    axes = sorted({axis % x.ndim for axis in ([dim] if isinstance(dim, int) else dim)})
    if not axes or axes[0] == 0:
        return None
    with torch.no_grad():
        whole = func(*args, **kwargs)
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    flat = x.permute(*kept, *axes).flatten(len(kept))
    lines = flat.flatten(1, -2) if len(kept) > 1 else flat[:, None]
    sign = -1 if called(func) in (op.MIN, op.AMIN) else 1
    found = sign * MaxPoolStep.apply(sign * lines, lambda t: t.max(-1, keepdim=True))
    values = found.reshape((whole if isinstance(whole, Tensor) else whole[0]).shape)
    return values if isinstance(whole, Tensor) else type(whole)((values, whole[1]))


_WITH_INDICES: Mapping[tuple[Operator, int], Callable[..., tuple[Tensor, Tensor]]] = {
    (op.MAX_POOL, 1): F.max_pool1d, (op.MAX_POOL, 2): F.max_pool2d, (op.MAX_POOL, 3): F.max_pool3d,
    (op.ADAPTIVE_MAX_POOL, 1): F.adaptive_max_pool1d, (op.ADAPTIVE_MAX_POOL, 2): F.adaptive_max_pool2d,
    (op.ADAPTIVE_MAX_POOL, 3): F.adaptive_max_pool3d,
}  # fmt: skip
_FACTORS = FACTORS | MATRIX_PRODUCTS
RULES: dict[Operator, Callable[[Call], Any]] = {
    **dict.fromkeys(frozenset(of("elementwise")) - STEPPED - {op.NAN_TO_NUM}, _elementwise),
    op.POW: _elementwise,
    **dict.fromkeys((op.WHERE, op.MASKED_FILL), _chosen),
    **dict.fromkeys((op.MAX, op.AMAX, op.MIN, op.AMIN), _largest),
    **dict.fromkeys((op.MAX_POOL, op.ADAPTIVE_MAX_POOL), _max_pool),
    **dict.fromkeys((op.SOFTMAX, op.LOG_SOFTMAX), SoftmaxStep.run),
    **dict.fromkeys(_FACTORS, _product),
}
DECLINED: dict[Operator, str] = {
    **declined("its slope says nothing about its steps", *STEPPED, op.NAN_TO_NUM, op.FLOOR_DIVIDE),
    **declined("an order of values: no rule hands out its differences", *of(kinds=("reductions",))),
    **declined("a function of several values without a rule", *of(kinds=("arithmetic", "products", "pooling"))),
    **declined("several layers at once, out of sight", *of(kinds=("recurrent", "attention"))),
    **declined("where values go, the picture may say", *of("by mask"), op.SCATTER, op.MASKED_SELECT, op.EMBEDDING),
    **declined("decides, and gives no values", *of("constant")),
}
DECLINED = {
    operator: reason for operator, reason in DECLINED.items() if operator not in RULES and operator not in IN_STEPS
}
