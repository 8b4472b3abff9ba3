"""Excitation backprop over a traced network, from the formulas: chances of a walk along excitatory connections."""

from __future__ import annotations

from typing import Any

import torch
from reference_lrp import convolved, made_by, merged, of_maps, stable, sum_to
from torch import Tensor
from torch.fx.node import Node
from traced import GATES, MEANS, MOVES, RECTIFIERS, Traced, aten, transposed


class NoRule(Exception):
    """An operation of the network that the method is not defined for."""


def excitation(traced: Traced, image: Tensor, classes: Tensor, *, contrastive: bool) -> Tensor:
    """Chances at the pixels of a picture without negative values.

    Raises:
        NoRule: the walk meets an operation that the paper says nothing about.
    """
    with torch.no_grad():
        values = traced.run(image)
        score = values[traced.output]
        start = torch.nn.functional.one_hot(classes, score.shape[1]).to(score)
        at_top = contrastive
        for node, chances, signals in traced.walk_back(values, start):
            found = _weights_of(node, values)
            if found:
                x, w, how = found
                below = _walk(values[x], w, how, chances)
                parts = {x: below - _walk(values[x], -w, how, chances) if at_top else below}
                at_top = False
            else:
                parts = _hand_down(traced, node, values, chances)
            for below, part in parts.items():
                signals.give(below, part)
    return traced.arrived


def _weights_of(node: Node, values: dict[Node, Any]) -> tuple[Node, Tensor, Any] | None:
    """Input, weights and manner of a dense layer or convolution; batch norms count to the convolution right below."""
    if node.target is aten.native_batch_norm.default and node.args[0].target is aten.convolution.default:
        gamma, variance = values[node.args[1]], values[node.args[4]]
        x, w, _, *how = node.args[0].args
        return x, values[w] * (gamma / (variance + node.args[7]).sqrt())[:, None, None, None], how
    if node.target is aten.convolution.default:
        x, w, _, *how = node.args
        return x, values[w], how
    if node.target in (aten.addmm.default, aten.mm.default):
        return node.args[-2], values[node.args[-1]], None
    return None


def _walk(x: Tensor, w: Tensor, how: Any, chances: Tensor) -> Tensor:
    """P_j = sum_k (x_j w_jk)+ / sum_i (x_i w_ik)+ P_k."""
    if how is not None:
        return convolved(x, w, None, how, chances, "epsilon-plus")
    terms = [(x.clamp(min=0), w.clamp(min=0)), (x.clamp(max=0), w.clamp(max=0))]
    signal = chances / stable(sum(a @ v for a, v in terms))
    return sum(a * (signal @ v.T) for a, v in terms)


def _hand_down(traced: Traced, node: Node, values: dict[Node, Any], chances: Any) -> dict[Node, Tensor]:
    op, live = node.target, traced.live
    if op in MOVES or op is aten.max_pool2d_with_indices.default:
        return transposed(node, values, chances, live)
    inputs = [n for n in node.all_input_nodes if n in live]
    x = inputs[0]
    if op in RECTIFIERS:
        return {x: chances}
    if op in MEANS:
        up = {**values, x: values[x].clamp(min=0)}
        signal = chances / stable(node.target(up[x], *node.args[1:], **node.kwargs))
        return {x: up[x] * transposed(node, up, signal, live)[x]}
    if op is aten.native_batch_norm.default:
        gamma, variance = values[node.args[1]], values[node.args[4]]
        z = values[x] * (gamma / (variance + node.args[7]).sqrt())[:, None, None]
        up = z.clamp(min=0)
        return {x: up / stable(up, of_maps(up)) * chances}
    if op is aten.add.Tensor:
        up = [values[n].clamp(min=0) for n in node.args[:2]]
        total = stable(up[0] + up[1], up[0] + up[1])
        shares = [(n, u / total * chances) for n, u in zip(node.args, up, strict=False) if n in live]
        return {n: sum_to(part, values[n]) for n, part in merged(shares)}
    if op in (aten.mul.Tensor, aten.div.Tensor) and len(inputs) == 1 and values[x].shape == values[node].shape:
        return {x: chances}
    if op is aten.mul.Tensor and len(inputs) == 2:  # a gate is a weight of the connection that it opens
        gated = [n for n in inputs if made_by(n, live) not in GATES]
        if len(gated) == 1:
            return {gated[0]: chances}
    raise NoRule(str(op))
