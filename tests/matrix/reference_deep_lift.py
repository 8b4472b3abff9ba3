"""DeepLIFT over a traced network: picture and reference are run one after the other, multipliers by the formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.node import Node
from traced import ACTIVATIONS, NORMS, PRODUCTS, SOFTMAXES, Traced, aten, transposed


def deep_lift(traced: Traced, image: Tensor, classes: Tensor, baseline: float) -> Tensor:
    """Contributions of the pixels; counts the operations that are not linear on its way."""
    reference = torch.full_like(image, baseline)
    with torch.no_grad():
        here, there = traced.run(image), traced.run(reference)
        score = here[traced.output]
        start = torch.nn.functional.one_hot(classes, score.shape[1]).to(score)
        traced.counts.clear()
        for node, m, signals in traced.walk_back(here, start):
            for below, part in _multipliers(traced, node, here, there, m).items():
                signals.give(below, part)
    return traced.arrived * (image - reference)


def _multipliers(
    traced: Traced, node: Node, here: dict[Node, Any], there: dict[Node, Any], m: Any
) -> dict[Node, Tensor]:
    op = node.target
    inputs = [n for n in node.all_input_nodes if n in traced.live]
    x = inputs[0]
    if op in ACTIVATIONS:
        traced.counts["activation"] += 1
        return {x: m * _quotient(here[node], there[node], here[x], there[x], lambda: transposed(
            node, here, torch.ones_like(m), traced.live)[x])}  # fmt: skip
    if op is aten.max_pool2d_with_indices.default:
        traced.counts["max pooling"] += 1
        return {x: _max_pool(here[node], there[node], here[x], there[x], m)}
    if op in SOFTMAXES:
        traced.counts["softmax"] += 1
        return {x: _softmax(here[x], there[x], m)}
    if op in NORMS:
        traced.counts["norm"] += 1
        return {x: _norm(node, here, there, m)}
    if op in PRODUCTS and len([n for n in node.args if n in traced.live]) == 2:
        traced.counts["product"] += 1
        middle = {**here, **{n: (here[n] + there[n]) / 2 for n in inputs}}
        return transposed(node, middle, m, traced.live)
    return transposed(node, here, m, traced.live)  # linear: its derivative is the same everywhere


def _quotient(y: Tensor, y0: Tensor, x: Tensor, x0: Tensor, slope: Callable[[], Tensor]) -> Tensor:
    close = (x - x0).abs() <= 1e-9 * (x.abs() + x0.abs())
    quotient = (y - y0) / torch.where(close, 1, x - x0)
    return torch.where(close, slope(), quotient) if bool(close.any()) else quotient


def _max_pool(result: Any, result0: Any, x: Tensor, x0: Tensor, m: Tensor) -> Tensor:
    """The larger of both maxima says where in the window its own picture had it."""
    (y, winner), (y0, winner0) = result[:2], result0[:2]
    place = torch.where(y >= y0, winner, winner0).flatten(2)
    difference = (x - x0).flatten(2).gather(2, place)
    share = torch.where(difference == 0, 1, (y - y0).flatten(2) / torch.where(difference == 0, 1, difference))
    return torch.zeros_like(x).flatten(2).scatter_add(2, place, m.flatten(2) * share).reshape(x.shape)


def _softmax(z: Tensor, z0: Tensor, m: Tensor) -> Tensor:
    """p = exp(z - log sum exp z) along the last axis: exp, sum, logarithm, exp, each by the rescale rule."""
    shift = torch.maximum(z, z0).amax(-1, keepdim=True)  # the same for both, so that no difference changes
    e, e0 = (z - shift).exp(), (z0 - shift).exp()
    total, total0 = e.sum(-1, keepdim=True), e0.sum(-1, keepdim=True)
    p, p0, log, log0 = e / total, e0 / total0, total.log(), total0.log()
    of_difference = m * _quotient(p, p0, z - log, z0 - log0, lambda: p)
    of_total = -of_difference.sum(-1, keepdim=True) * _quotient(log, log0, total, total0, lambda: 1 / total)
    return of_difference + of_total * _quotient(e, e0, z, z0, lambda: e)


def _norm(node: Node, here: dict[Node, Any], there: dict[Node, Any], m: Any) -> Tensor:
    """y = g / s, with g the centred input and s = sqrt(mean g^2 + eps): g = y s is a product, whose rule gives dy."""
    x, x0 = here[node.args[0]], there[node.args[0]]
    if node.target is aten.native_layer_norm.default:
        weight, eps, shape = here[node.args[2]], node.args[4], x.shape
    else:
        weight, eps, shape = here[node.args[1]][:, None, None], node.args[7], (len(x), node.args[6], -1)
    m = (m * weight).reshape(shape)
    g, g0 = (t.reshape(shape) - t.reshape(shape).mean(-1, keepdim=True) for t in (x, x0))
    s, s0 = (((t**2).mean(-1, keepdim=True) + eps).sqrt() for t in (g, g0))
    of_s = -(m * (g / s + g0 / s0) / 2).sum(-1, keepdim=True) / ((s + s0) / 2)
    of_v = of_s / (s + s0)
    of_g = m / ((s + s0) / 2) + of_v * (g + g0) / g.shape[-1]
    return (of_g - of_g.mean(-1, keepdim=True)).reshape(x.shape)
