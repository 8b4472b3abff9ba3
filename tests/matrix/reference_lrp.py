"""LRP over a traced network, from the formulas: epsilon for dense layers, epsilon or z-plus for convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx.node import Node
from traced import ACTIVATIONS, GATES, MEANS, MOVES, NORMS, PRODUCTS, Traced, aten, transposed

_EPS = 1e-6


def lrp(traced: Traced, image: Tensor, classes: Tensor, composite: str) -> Tensor:
    """Relevance of the pixels; counts the operations on its way."""
    with torch.no_grad():
        values = traced.run(image)
        score = values[traced.output]
        start = score * torch.nn.functional.one_hot(classes, score.shape[1])
        traced.counts.clear()
        for node, relevance, signals in traced.walk_back(values, start):
            for below, part in _hand_down(traced, node, values, relevance, composite).items():
                signals.give(below, part)
    return traced.arrived


def _hand_down(traced: Traced, node: Node, values: dict[Node, Any], r: Any, composite: str) -> dict[Node, Tensor]:
    op, live = node.target, traced.live
    if op in MOVES:
        return transposed(node, values, r, live)
    x_node = next(n for n in node.all_input_nodes if n in live)
    x = values[x_node]
    if op in ACTIVATIONS:
        traced.counts["activation"] += 1
        return {x_node: r}
    if op is aten.max_pool2d_with_indices.default:
        winners = values[node][1].flatten(2)
        return {x_node: torch.zeros_like(x).flatten(2).scatter_add(2, winners, r.flatten(2)).reshape(x.shape)}
    if op in MEANS:
        return {x_node: x * transposed(node, values, r / stable(values[node]), live)[x_node]}
    if op is aten.native_batch_norm.default:
        return _batch_norm(traced, node, values, r, composite)
    if op is aten.convolution.default:
        traced.counts["convolution"] += 1
        _, w, b, *how = (values[a] if isinstance(a, Node) else a for a in node.args)
        return {x_node: convolved(x, w, b, how, r, composite)}
    if op in (aten.addmm.default, aten.mm.default):
        traced.counts["dense"] += 1
        w = values[node.args[-1]]
        return {x_node: x * ((r / stable(values[node])) @ w.T)}
    if op in NORMS:
        traced.counts["sample-normalisation"] += 1
        return {x_node: _norm(node, values, r)}
    product = _biased_product(node)
    if product:
        traced.counts["dense"] += 1
        x_node, w = product.args
        quotient = (r / stable(values[node])).reshape(len(values[x_node]), -1)
        return {x_node: values[x_node] * (quotient @ values[w].T)}
    if op in (aten.add.Tensor, aten.sub.Tensor):
        terms = [values[n] if isinstance(n, Node) else torch.tensor(float(n)) for n in node.args[:2]]
        total = stable(values[node], terms[0].abs() + terms[1].abs())
        sign = 1 if op is aten.add.Tensor else -1
        shares = [(n, (s * values[n] / total * r)) for n, s in zip(node.args, (1, sign), strict=True) if n in live]
        return {n: sum_to(part, values[n]) for n, part in merged(shares)}
    if op in (*PRODUCTS, aten.mul.Scalar, aten.div.Tensor):
        return _product(traced, node, values, r)
    raise NotImplementedError(str(op))


def _biased_product(node: Node) -> Node | None:
    """The matrix product of a dense layer whose bias the dispatcher adds apart."""
    if node.target is not aten.add.Tensor:
        return None
    below, bias = node.args[:2]
    while isinstance(below, Node) and below.target in (aten._unsafe_view.default, aten.view.default):
        below = below.args[0]
    is_bias = isinstance(bias, Node) and bias.op == "get_attr"
    return below if is_bias and isinstance(below, Node) and below.target is aten.mm.default else None


def merged(shares: list[tuple[Node, Tensor]]) -> list[tuple[Node, Tensor]]:
    """Shares of one and the same summand are one share."""
    if len(shares) == 2 and shares[0][0] is shares[1][0]:
        return [(shares[0][0], shares[0][1] + shares[1][1])]
    return shares


def stable(z: Tensor, size: Tensor | None = None) -> Tensor:
    """Kept away from zero by a millionth of a size, that of vectors along the last axis if no other is given."""
    size = z.abs().mean(-1, keepdim=True) if size is None else size
    moved = torch.where(z < 0, z - _EPS * size, z + _EPS * size)
    return torch.where(moved == 0, torch.inf, moved)


def of_maps(z: Tensor) -> Tensor:
    """Mean size of each picture's map."""
    return z.abs().flatten(1).mean(1).reshape(-1, *[1] * (z.ndim - 1))


def sum_to(part: Tensor, like: Tensor) -> Tensor:
    """As the value that was broadcast."""
    return part.sum_to_size(like.shape)


def convolved(x: Tensor, w: Tensor, b: Any, how: list[Any], r: Tensor, composite: str) -> Tensor:
    """Relevance below a convolution with weights w and biases b, None for none."""
    none = torch.zeros(len(w), dtype=w.dtype)
    b = none if b is None else b
    terms = [(x, w, b)]
    if composite == "epsilon-plus":
        terms = [(x.clamp(min=0), w.clamp(min=0), b.clamp(min=0)), (x.clamp(max=0), w.clamp(max=0), none)]
    z = sum(aten.convolution(a, v, c, *how) for a, v, c in terms)
    signal = r / stable(z, of_maps(z))
    stride, padding, dilation, turned, _, groups = how
    assert not turned
    back = [torch.nn.grad.conv2d_input(a.shape, v, signal, stride, padding, dilation, groups) for a, v, _ in terms]
    return sum(a * g for (a, _, _), g in zip(terms, back, strict=True))


def _batch_norm(traced: Traced, node: Node, values: dict[Node, Any], r: Tensor, composite: str) -> dict[Node, Tensor]:
    """As one operation with the convolution right below it, if there is one."""
    below, *constants = node.args[:5]
    gamma, beta, mean, variance = (values[n] for n in constants)
    scale = gamma / (variance + node.args[7]).sqrt()
    shift = beta - mean * scale
    if below.target is aten.convolution.default:
        traced.counts["convolution"] += 1
        source, w, b, *how = below.args
        b = 0 if b is None else values[b]
        folded = values[w] * scale[:, None, None, None]
        return {source: convolved(values[source], folded, b * scale + shift, how, r, composite)}
    z = values[below] * scale[:, None, None] + shift[:, None, None]
    return {below: values[below] * scale[:, None, None] * r / stable(z, of_maps(z))}


def _norm(node: Node, values: dict[Node, Any], r: Tensor) -> Tensor:
    """R_j = x_j (g_j - mean g), with g = weight / spread R / z: the spread is a constant, the rest is linear."""
    x, (y, _, inverse) = values[node.args[0]], values[node]
    quotient = r / stable(y)
    if node.target is aten.native_layer_norm.default:
        g = quotient * values[node.args[2]] * inverse
        return x * (g - g.mean(-1, keepdim=True))
    _, weight, _, n, _, _, groups, _ = node.args
    g = (quotient * values[weight][:, None, None]).reshape(n, groups, -1) * inverse[:, :, None]
    return x * (g - g.mean(-1, keepdim=True)).reshape(x.shape)


def _product(traced: Traced, node: Node, values: dict[Node, Any], r: Tensor) -> dict[Node, Tensor]:
    live = [n for n in node.args if n in traced.live]
    if len(live) == 1:
        (x,) = live
        other = next(values[n] if isinstance(n, Node) else torch.tensor(float(n)) for n in node.args if n is not x)
        assert bool((other != 0).all())
        return {x: sum_to(r, values[x])}
    gates = [made_by(n, traced.live) in GATES for n in live]
    assert sorted(gates) == [False, True], "one factor of each product is a gate in these networks"
    x, gate = live[gates.index(False)], live[gates.index(True)]
    if node.target is aten.mul.Tensor:
        traced.counts["gate"] += 1
        return {x: sum_to(r, values[x])}
    traced.counts["attention"] += 1
    assert node.args[0] is gate, "weights @ values"
    return {x: values[x] * (values[gate].mT @ (r / stable(values[node])))}


def made_by(node: Node, live: set[Node]) -> Any:
    """The operation that a value came out of, moves and constant factors aside."""
    while node.target in MOVES or (node.target in PRODUCTS and sum(n in live for n in node.args) == 1):
        node = next(n for n in node.all_input_nodes if n in live)
    return node.target
