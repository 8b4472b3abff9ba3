"""What a function of tensors does to the value at each place, measured on numbers of our own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]

_LEAST = 64
"""Numbers to try at least."""
_ON_THE_SLOPE = 4
"""Numbers between 0 and the ceiling to be seen at least, or a step would pass for a rectifier."""
_NEAR = 1e-6
"""Relative, for numbers computed in float64 with constants in float32."""
_FAR = 1e2
"""Beyond this, a value that has a floor and a ceiling does not move any more."""


def answers_of(function: Function, x: Tensor, *probes: Tensor) -> list[Tensor] | None:
    """What a function makes of numbers shaped as x, in float64; None where it cannot be run or gives more or fewer."""
    for dtype in (torch.float64, x.dtype):
        with suppress(Exception), torch.no_grad():
            found = [function(probe.to(dtype)) for probe in probes]
            if all(each.numel() == x.numel() and each.is_floating_point() for each in found):
                return [each.to(torch.float64).reshape(x.shape) for each in found]
    return None


def numbers_like(x: Tensor) -> Iterator[Tensor]:
    """Numbers of both signs and of sizes from 0.001 to 10,000, in the shape of x, until there are enough."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(math.ceil(_LEAST / max(x.numel(), 1))):
        size, sign = torch.rand(2, *x.shape, generator=generator, dtype=torch.float64)
        yield (10 ** (7 * size - 3) * torch.where(sign < 0.5, -1.0, 1.0)).to(x.device)


def law(function: Function, x: Tensor) -> tuple[float, float, float] | None:
    """Scale, sign and ceiling of a function that is a rectifier; None for any other."""
    probes = list(numbers_like(x))
    answers = answers_of(function, x, *probes)
    if answers is None:
        return None
    p, y = (torch.cat([t.flatten() for t in each]) for each in (probes, answers))
    dead = y.abs() <= _NEAR * p.abs()
    for sign in (1.0, -1.0):
        live = sign * p > 0
        if not bool(dead[~live].all()) or not bool(live.any()):
            continue
        q, v = p[live].abs(), y[live]
        scale = float(v[q.argmin()] / q.min())
        if scale == 0 or not math.isfinite(scale):
            return None
        most = float(v[q.argmax()]) / scale
        ceiling = math.inf if abs(most - float(q.max())) <= _NEAR * float(q.max()) else most
        holds = (v - scale * q.clamp(max=ceiling)).abs() <= _NEAR * abs(scale) * q.clamp(max=ceiling)
        scale = round(scale) if abs(scale - round(scale)) <= _NEAR else scale
        rises = int((q < ceiling).sum()) >= _ON_THE_SLOPE
        return (scale, sign, ceiling) if rises and bool(holds.all()) else None
    return None


def slopes_as(law: tuple[float, float, float], function: Function, x: Tensor) -> bool:
    """Whether a rectifier's gradient is that of its values, so that no part of it was detached."""
    scale, sign, ceiling = law
    for p in numbers_like(x):
        for dtype in (torch.float64, x.dtype):
            with suppress(Exception), torch.enable_grad():
                leaf = p.to(dtype).requires_grad_()
                (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
                break
        else:
            return True  # there is no gradient to differ from
        open_ = (sign * leaf > 0) & (sign * leaf < ceiling)
        if not bool(((slope - scale * sign * open_).abs() <= _NEAR * abs(scale)).all()):
            return False
    return True


def bends(function: Function, x: Tensor) -> bool:
    """Whether each result depends on the one value at its place, and not by a straight line."""
    bent = False
    generator = torch.Generator().manual_seed(1)
    for p in numbers_like(x):
        q = -0.3 * p
        swapped = (torch.rand(x.shape, generator=generator) < 0.5).to(x.device)
        answers = answers_of(function, x, p, q, (p + q) / 2, torch.where(swapped, q, p))
        if answers is None:
            return False
        at_p, at_q, between, mixed = (each.nan_to_num() for each in answers)
        if not bool(((mixed - torch.where(swapped, at_q, at_p)).abs() <= _NEAR * mixed.abs()).all()):
            return False
        size = torch.maximum(at_p.abs(), at_q.abs())
        bent |= bool(((between - (at_p + at_q) / 2).abs() > _NEAR * size).any())
    return bent


def is_power(function: Function, x: Tensor) -> bool:
    """Whether a function is one that norms and softmax add up: even, or an exponential."""
    p = next(numbers_like(x)).clamp(-3, 3)
    answers = answers_of(function, x, p, -p)
    if answers is None:
        return False
    there, back = answers
    return bool(torch.allclose(there, back)) or bool(torch.allclose(there * back, torch.ones_like(p)))


def squashes(function: Function, x: Tensor) -> bool:
    """Whether what a function gives lies between a floor and a ceiling, which it reaches, as hard sigmoid does."""
    ends = []
    for p in numbers_like(x):
        found = answers_of(function, x, p.abs() + _FAR, 2 * p.abs() + _FAR, -p.abs() - _FAR, -2 * p.abs() - _FAR)
        if found is None or not all(torch.allclose(near, far) for near, far in (found[:2], found[2:])):
            return False
        ends.append(not torch.allclose(found[0], found[2]))
    return any(ends)
