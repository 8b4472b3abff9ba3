"""Linear operations and the rules by which relevance is handed from their outputs to their inputs.

With inputs x_j, weights w_jk, bias b_k, outputs z_k = sum_j x_j w_jk + b_k, R_k the relevance of an output, and ()+ and
()- the positive and negative part, every rule has the form

    R_j = x'_j sum_k w'_jk R_k / z'_k,    z'_k = sum_j x'_j w'_jk + b'_k

with its own x', w' and b'. One forward and one backward call of the operation itself compute it, whatever the operation
is: dense, convolution, pooling. Denominators are kept away from zero by their sign times a small part of their mean
size, so that shares do not depend on the units of weights and scores.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pellucid.capture.operators import Affine

Term: TypeAlias = tuple[Tensor, Tensor | None, Tensor | None]
STABILISER = 1e-6


RelevanceRule: TypeAlias = Callable[[Affine, Tensor, Tensor], Tensor]
"""(operation, its input, relevance of its output) -> relevance of its input."""


def stabilise(z: Tensor, size: Tensor, amount: float = STABILISER) -> Tensor:
    """Move z away from zero by `amount` times `size`, keeping its sign; zero counts as positive.

    Infinite where that is still zero: there is nothing to share out.
    """
    moved = z + torch.where(z < 0, -amount, amount) * size
    return moved.masked_fill(moved == 0, torch.inf)


def size_of(operation: Affine, z: Tensor) -> Tensor:
    """Mean size of the outputs that belong together: of a picture's map, or of each vector along the last axis.

    Of the latter alone where rows need not be pictures: attention may have tokens or heads there. One number for each
    row belongs to nothing but itself.
    """
    if z.ndim == 1:
        return z.abs()
    maps = operation.kind in ("convolution", "normalisation")
    return z.abs().mean(tuple(range(1, z.ndim)) if maps else -1, keepdim=True)


def share(operation: Affine, terms: list[Term], relevance: Tensor, amount: float = STABILISER) -> Tensor:
    """sum_t x_t L_t^T(R / z) with z = sum_t L_t(x_t) + b_t: the form that all rules have."""
    parts = [_apply(operation, *term) for term in terms]
    total = sum((z.detach() for _, z in parts), torch.zeros_like(relevance))
    signal = relevance / stabilise(total, size_of(operation, total), amount)
    shares = [x.detach() * torch.autograd.grad(z, x, signal)[0] for x, z in parts]
    return sum(shares[1:], shares[0])


def _apply(operation: Affine, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return x, operation.call(x, weight, bias)


def _part(tensor: Tensor | None, sign: int) -> Tensor | None:
    return None if tensor is None else tensor.clamp(min=0) if sign > 0 else tensor.clamp(max=0)


def _by_sign(x: Tensor, same: tuple[Tensor | None, Tensor | None], other: Tensor | None) -> list[Term]:
    """Terms of the positive inputs (weight and bias `same`) and, where there are any, the negative ones."""
    if not bool((x < 0).any()):
        return [(x, *same)]
    return [(x.clamp(min=0), *same), (x.clamp(max=0), other, None)]


def epsilon(operation: Affine, x: Tensor, relevance: Tensor, *, amount: float = STABILISER) -> Tensor:
    """Epsilon: x' = x, w' = w, b' = b. Bach et al. 2015, eq. 58; a larger `amount` absorbs more."""
    return share(operation, [(x, operation.weight, operation.bias)], relevance, amount)


def alpha_beta(operation: Affine, x: Tensor, relevance: Tensor, *, alpha: float = 1.0, biased: bool = True) -> Tensor:
    """R_j = sum_k (alpha (x_j w_jk)+ / sum_i (x_i w_ik)+ - beta (x_j w_jk)- / sum_i (x_i w_ik)-) R_k, beta = alpha - 1.

    Bach et al. 2015, eq. 60; the bias counts in the sum of its own sign unless `biased` is off. alpha = 1 is the z-plus
    rule.
    """
    weight, bias = operation.weight, operation.bias if biased else None
    up, down = _part(weight, 1), _part(weight, -1)
    if weight is None:
        return share(operation, [(x.clamp(min=0), None, None)], relevance)
    result = alpha * share(operation, _by_sign(x, (up, _part(bias, 1)), down), relevance)
    if alpha == 1:
        return result
    return result - (alpha - 1) * share(operation, _by_sign(x, (down, _part(bias, -1)), up), relevance)


def gamma(operation: Affine, x: Tensor, relevance: Tensor, *, amount: float = 0.25) -> Tensor:
    """Gamma: w' = w + gamma w+, b' = b + gamma b+, which favours positive contributions. Montavon et al. 2019.

    That is section 10.2.3, for x >= 0 and z >= 0. In general, contributions x_j w_jk of the sign of z_k are the
    favoured ones (the generalised rule of Andeol et al., arXiv:2106.13200).
    """
    weight, bias = operation.kernel, operation.bias
    favoured = [weight + amount * weight.clamp(min=0), weight + amount * weight.clamp(max=0)]
    offset = [None if bias is None else bias + amount * bias.clamp(min=0)]
    offset += [None if bias is None else bias + amount * bias.clamp(max=0)]
    with torch.no_grad():
        negative = operation.call(x, weight, bias) < 0
    up = share(operation, _by_sign(x, (favoured[0], offset[0]), favoured[1]), relevance.masked_fill(negative, 0))
    if not bool(negative.any()):
        return up
    down = _by_sign(x, (favoured[1], offset[1]), favoured[0])
    return up + share(operation, down, relevance.masked_fill(~negative, 0))


def flat(operation: Affine, x: Tensor, relevance: Tensor) -> Tensor:
    """Flat: x' = 1, w' = 1, b' = 0, so all inputs of an output get the same. Lapuschkin et al. 2019, supplement."""
    return share(operation, [(torch.ones_like(x), torch.ones_like(operation.kernel), None)], relevance)


def w_square(operation: Affine, x: Tensor, relevance: Tensor) -> Tensor:
    """W-square: x' = 1, w' = w^2, b' = 0, by the weights alone, whatever the input. Montavon et al. 2017, eq. 13."""
    return share(operation, [(torch.ones_like(x), operation.kernel**2, None)], relevance)


def z_box(operation: Affine, x: Tensor, relevance: Tensor, *, low: Tensor, high: Tensor) -> Tensor:
    """R_j = sum_k (x_j w_jk - l_j w_jk+ - h_j w_jk-) / sum_i (the same) R_k, for l <= x <= h.

    Montavon et al. 2017, eq. 16. `low` and `high` broadcast over the input.
    """
    weight = operation.weight
    bounds = [(-low.to(x).expand_as(x), _part(weight, 1)), (-high.to(x).expand_as(x), _part(weight, -1))]
    return share(operation, [(x, weight, None), *[(bound, part, None) for bound, part in bounds]], relevance)


def at_full_precision(rule: RelevanceRule, operation: Affine, x: Tensor, relevance: Tensor) -> Tensor:
    """Apply a rule in float32 or better, outside any autocast: its quotients need the digits."""
    dtype = torch.promote_types(torch.promote_types(x.dtype, relevance.dtype), torch.float32)
    if operation.weight is not None:
        dtype = torch.promote_types(dtype, operation.weight.dtype)
    with torch.autocast(x.device.type, enabled=False):
        return rule(operation.to(dtype), x.to(dtype), relevance.to(dtype)).to(x.dtype)


def with_options(rule: Callable[..., Tensor], **options: Any) -> RelevanceRule:
    """A rule with its options filled in."""
    return partial(rule, **options)
