"""A network as the list of aten operations that it runs: the way in which the reference implementations see it.

Pellucid's rewritings see a network from above, function call by function call, and the gradient's graph. Here it is
seen from below: what the dispatcher computed for one picture, in order, without in-place writes, fused attention in
its parts. Neither can hide from the other what it forgot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import Node, map_arg
from torch.nn.attention import SDPBackend, sdpa_kernel

aten = torch.ops.aten
MOVES = {
    aten._unsafe_view.default, aten.clone.default, aten.expand.default, aten.permute.default, aten.select.int,
    aten.slice.Tensor, aten.split.Tensor, aten.split_with_sizes.default, aten.squeeze.dim, aten.t.default,
    aten.transpose.int, aten.unbind.int, aten.unsqueeze.default, aten.view.default, aten.roll.default,
    aten.constant_pad_nd.default, aten.cat.default, aten.index.Tensor, aten.as_strided_.default,
}  # fmt: skip
MEANS = {aten.mean.dim, aten.avg_pool2d.default, aten._adaptive_avg_pool2d.default, aten.sum.dim_IntList}
RECTIFIERS = {aten.relu.default}
ACTIVATIONS = RECTIFIERS | {
    aten.gelu.default, aten.silu.default, aten.hardswish.default, aten.hardsigmoid.default, aten.sigmoid.default,
    aten.tanh.default,
}  # fmt: skip
SOFTMAXES = {aten._softmax.default, aten._safe_softmax.default}
GATES = SOFTMAXES | {aten.sigmoid.default, aten.hardsigmoid.default}
NORMS = {aten.native_layer_norm.default, aten.native_group_norm.default}
PRODUCTS = {aten.mul.Tensor, aten.bmm.default}


class Traced:
    """The operations of a network for one picture, and their values.

    Attributes:
        nodes: in the order of the pass.
        live: those that depend on the picture.
        counts: what a reference implementation met on its way back, by kind.
    """

    def __init__(self, net: nn.Module, image: Tensor) -> None:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            self.module = make_fx(torch.func.functionalize(net))(image)
        self.nodes = [node for node in self.module.graph.nodes if node.op != "output"]
        self.output = next(node.args[0] for node in self.module.graph.nodes if node.op == "output")
        self.live: set[Node] = set()
        for node in self.nodes:
            below = any(n in self.live for n in node.all_input_nodes)
            if node.op == "placeholder" or (below and node.target is not aten.new_zeros.default):
                self.live.add(node)
        self.counts: Counter[str] = Counter()

    @property
    def input(self) -> Node:
        """The picture."""
        return next(node for node in self.nodes if node.op == "placeholder")

    def operations(self) -> set[Any]:
        """All that the picture goes through."""
        return {node.target for node in self.live}

    def run(self, image: Tensor, replaced: Any = None) -> dict[Node, Any]:
        """The values of all nodes; `replaced(node, args)` may compute some of them in its own way."""
        values: dict[Node, Any] = {}
        for node in self.nodes:
            if node.op == "placeholder":
                values[node] = image
            elif node.op == "get_attr":
                values[node] = getattr(self.module, node.target).detach()
            else:
                args = map_arg(node.args, values.__getitem__)
                own = replaced and replaced(node, args)
                values[node] = node.target(*args, **node.kwargs) if own is None else own
        return values

    def walk_back(self, values: dict[Node, Any], start: Tensor) -> Iterator[tuple[Node, Any, Signals]]:
        """Each node that a signal reaches, last first: (node, its signal, where to send it on)."""
        signals = Signals(self.live)
        signals.give(self.output, start)
        for node in reversed(self.nodes):
            if node in signals.of and node.op == "call_function":
                signal = signals.of.pop(node)
                if node.target.__name__ == "getitem":
                    signals.give_part(node.args[0], node.args[1], signal, values)
                else:
                    yield node, signal, signals
        self.arrived = signals.of[self.input]


class Signals:
    """Signals on their way to the nodes below, summed where they meet."""

    def __init__(self, live: set[Node]) -> None:
        self.live, self.of = live, dict[Node, Any]()

    def give(self, node: Any, signal: Tensor) -> None:
        """Add to a node's signal, unless the node is a constant."""
        if node in self.live:
            self.of[node] = self.of[node] + signal if node in self.of else signal

    def give_part(self, node: Node, number: int, signal: Tensor, values: dict[Node, Any]) -> None:
        """Add to one of the results of a node that has several."""
        if node.target in SEVERAL:
            parts = self.of.setdefault(node, [torch.zeros_like(v) for v in values[node]])
            parts[number] = parts[number] + signal
        elif number == 0:  # of norms and poolings, whose other results are statistics and indices
            self.give(node, signal)


SEVERAL = {aten.split.Tensor, aten.split_with_sizes.default, aten.unbind.int}


def transposed(node: Node, values: dict[Node, Any], signal: Any, live: set[Node]) -> dict[Node, Tensor]:
    """The derivative of an operation, transposed and applied to a signal, for each live input."""
    inputs = [n for n in node.all_input_nodes if n in live]
    with torch.enable_grad():
        leaves = {n: values[n].detach().clone().requires_grad_() for n in inputs}
        args = map_arg(node.args, lambda n: leaves.get(n, values[n]))
        if node.target is aten.as_strided_.default:
            args = (args[0].clone(), *args[1:])
        results = node.target(*args, **node.kwargs)
    results = results if isinstance(results, (tuple, list)) else [results]
    signals = signal if isinstance(signal, list) else [signal]
    pairs = [(r, s) for r, s in zip(results, signals, strict=False) if r.requires_grad]
    sent = torch.autograd.grad([r for r, _ in pairs], list(leaves.values()), [s for _, s in pairs])
    return dict(zip(inputs, sent, strict=True))
