"""What a network's attention layers look at, measured instead of assumed.

In one file, since every step of the measurement reads what the one before has found.

Methods that multiply or add up attention matrices take for granted that token i behind one layer is token i before the
next, that nothing else mixes tokens, that there is a skip connection around each layer, and which token stands for
which place of the picture. One pass over noise finds out, once per network and input shape:

- A softmax is attention if its result is a factor of a matrix product, or part of a fused operation, and its rows sum
  to one.
- Signals sent back from what one layer attends to (`capture/attention/tokens.py`) tell whether its tokens are those
  that the layer below gave, each fed by itself alone and in the same order.
- From the first layer the signals go on to the last convolution below it, or to the picture: this tells the token of
  every cell of the grid. Tokens that no cell has are class, distillation or register tokens, wherever they stand.
- A layer's skip connection shows in the graph: something of the layer below reaches the next one without it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from pellucid.capture.attention.operations import Attending
from pellucid.capture.attention.tokens import fed, grid_of_labels, is_convolution
from pellucid.capture.layers import anything
from pellucid.capture.operators import nearest, nodes_below
from pellucid.capture.running import forward, frozen, input_type, manner, walk
from pellucid.contracts import Model, Site
from pellucid.numerics import full_precision

_BATCH = 2
"""Pictures in the pass over noise: two, so that no axis can be mistaken for the batch."""


@dataclass(frozen=True, eq=False)
class Transformer:
    """The attention layers of a network, or why methods that read them would be wrong.

    Attributes:
        trouble: the reason in words that follow "this network:"; "" if there is none, and only then all else holds.
        calls: numbers of the softmax operations that are the layers, first to last.
        fused: how many of them are computed fused.
        tokens: how many tokens each layer looks at.
        places: `[*axes]`, the number of the token that stands for each cell of the picture.
        blocks: the module that makes up each layer, its output the tokens behind the layer; empty if there are none.
        token_axis: of the blocks' outputs, 0 or 1; the other of the two is the batch.
    """

    trouble: str
    calls: tuple[int, ...] = ()
    fused: int = 0
    tokens: int = 0
    places: Tensor | None = None
    blocks: tuple[Site, ...] = ()
    token_axis: int = 1


_known: weakref.WeakKeyDictionary[nn.Module, tuple[Any, Transformer]] = weakref.WeakKeyDictionary()


def transformer(model: Model, image: Tensor) -> Transformer:
    """Measure; remembered, if well, until the model's parts, its type, how it is run or the input's shape change.

    Must run inside `guarded` and outside any other mode.
    """
    key = (*image.shape[1:], image.device, input_type(model, image), *manner(model), *map(id, walk(model.module)))
    known = _known.get(model.module)
    if known is not None and known[0] == key:
        return known[1]
    found = _measure(model, *noise(model, image))
    if not found.trouble:  # which may be one of weights that are still zero
        _known[model.module] = (key, found)
    return found


def noise(model: Model, image: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures of noise to measure with, as the answer is about the model; and whose further inputs go along."""
    generator = torch.Generator("cpu").manual_seed(0)
    rows = torch.randn(_BATCH, *image.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
    samples = torch.zeros(_BATCH, dtype=torch.int64, device=image.device)
    return rows.to(image.device, input_type(model, image)), samples


def _measure(model: Model, rows: Tensor, samples: Tensor) -> Transformer:
    with frozen(model.module), torch.enable_grad():
        picture = rows.requires_grad_().clone()  # networks may write into what they are given
        start = get_gradient_edge(picture)
        watch = _Watch(model.module)
        with watch.listening(), watch:
            output = forward(model, picture, samples)
        return _describe(watch, start, anything(output, model))


@dataclass
class _Layer:
    """One attention operation during the pass."""

    number: int
    matrix: Tensor  # [..., query, key]
    fused: bool
    values: Tensor  # [..., key, feature]
    edge: GradientEdge  # of what the operation gave
    shape: str  # of that, in the words of capture/attention/tokens.py

    @property
    def size(self) -> tuple[int, int]:
        return self.matrix.shape[-2], self.matrix.shape[-1]


@dataclass
class _Call:
    """A module's call: how many attention layers were done before and after it, and what it gave."""

    site: Site
    before: int
    after: int = -1
    shape: tuple[int, ...] = ()
    node: Any = None


class _Watch(Attending):
    """Collects attention operations, and the module calls around them."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.layers: list[_Layer] = []
        self.calls: list[_Call] = []
        self._open: list[tuple[int, Tensor]] = []  # softmax results that may yet turn out to be attention
        self._handles: list[Any] = []

    def weights(self, number: int, weights: Tensor, edge: GradientEdge | None) -> None:
        if edge is not None and weights.ndim >= 3 and _rows_sum_to_one(weights):
            self._open.append((number, weights.detach()))

    def fused(self, number: int, values: Tensor, result: Tensor) -> None:
        if self._open and self._open[-1][0] == number:
            self.layers.append(_Layer(*self._open.pop(), True, values, get_gradient_edge(result), "...tf"))

    def product(self, call: tuple[Any, tuple[Any, ...], dict[str, Any]], result: Tensor) -> None:
        for matrix, values, shape in _as_attention(*call):
            for k, (_, weights) in enumerate(self._open):
                if _same_values(matrix, weights):
                    self.layers.append(_Layer(*self._open.pop(k), False, values, get_gradient_edge(result), shape))
                    return

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note the calls of all modules."""
        try:
            for path, part in self.module.named_modules():
                if not isinstance(part, torch.jit.ScriptModule):
                    self._listen(path, part)
            yield
        finally:
            for handle in self._handles:
                handle.remove()

    def _listen(self, path: str, part: nn.Module) -> None:
        running: list[_Call] = []
        done: list[_Call] = []

        def before(*_: Any) -> None:
            running.append(_Call(Site(path, len(running) + len(done)), len(self.layers)))
            self.calls.append(running[-1])

        def after(_: nn.Module, __: Any, out: Any) -> None:
            call = running.pop()
            done.append(call)
            call.after = len(self.layers)
            if isinstance(out, Tensor) and out.requires_grad:
                call.shape, call.node = tuple(out.shape), out.grad_fn

        self._handles += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]


def _rows_sum_to_one(weights: Tensor) -> bool:
    sums = full_precision(weights.detach()).sum(-1)
    return bool(((sums - 1).abs() <= 4 * torch.finfo(weights.dtype).eps ** 0.5).all())


def _same_values(matrix: Tensor, weights: Tensor) -> bool:
    if matrix.numel() != weights.numel() or matrix.shape[-2:] != weights.shape[-2:]:
        return False
    return torch.equal(matrix.detach().reshape(weights.shape), weights.to(matrix.dtype))


def _as_attention(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Tensor, Tensor, str]]:
    """The ways to read a matrix product as matrix times values: the matrix, the values, how the result lies."""
    if func is torch.einsum:
        return _einsum(*args)
    left, right = (*args, *kwargs.values())[:2]
    if func is Tensor.__rmatmul__:
        left, right = right, left
    if not isinstance(left, Tensor) or not isinstance(right, Tensor) or min(left.ndim, right.ndim) < 2:
        return []
    return [(left, right, "...tf"), (right.transpose(-1, -2), left.transpose(-1, -2), "...ft")]


def _einsum(equation: Any, *operands: Any) -> list[tuple[Tensor, Tensor, str]]:
    """`...qk,...kf->...qf` in any letters."""
    if not isinstance(equation, str) or len(operands) != 2 or equation.count("->") != 1 or "." in equation:
        return []
    terms, out = equation.replace(" ", "").split("->")
    matrix, values = terms.split(",")
    *shared, query, key = list(matrix)
    feature = values[-1]
    if list(values) == [*shared, key, feature] and list(out) == [*shared, query, feature]:
        return [(operands[0], operands[1], "...tf")]
    return []


def _describe(watch: _Watch, picture: GradientEdge, score: Tensor | None) -> Transformer:
    layers = watch.layers
    if not layers:
        return Transformer("it has no attention layer that torch's own operations compute")
    if score is None:
        return Transformer("its output has no gradient that would tell what its attention leads to")
    tokens = layers[0].size[1]
    for k, layer in enumerate(layers, 1):
        queries, keys = layer.size
        if queries != keys:
            return Transformer(
                f"its attention layer {k} has a matrix of {queries} x {keys} tokens, not one of all tokens by all"
            )
        if keys != tokens:
            return Transformer("its attention layers look at different sets of tokens (stages, windows or merging)")
    found = _places(layers[0], picture)
    if isinstance(found, str):
        return Transformer(found)
    anchor, places = found
    order = torch.arange(_BATCH * tokens).view(_BATCH, tokens)
    for k, (below, above) in enumerate(pairwise(layers), 1):
        numbers = fed(above.values, below.edge, below.shape, _BATCH)
        if numbers is None or not torch.equal(numbers, order):
            return Transformer(
                f"between its attention layers {k} and {k + 1} tokens are mixed, reordered or passed by, so that their "
                "matrices are no chain"
            )
    starts = [anchor.node, *(layer.edge.node for layer in layers)]
    ends = [*(layer.values.grad_fn for layer in layers[1:]), score.grad_fn]
    for k, layer in enumerate(layers):
        if not _passes_by(ends[k], layer, starts[k]):
            return Transformer(f"there is no skip connection around its attention layer {k + 1}")
    blocks, axis = _blocks(watch.calls, layers, starts)
    return Transformer("", tuple(a.number for a in layers), sum(a.fused for a in layers), tokens, places, blocks, axis)


def _passes_by(end: Any, layer: _Layer, start: Any) -> bool:
    """Whether the node `end` is reached from the node `start` without passing the layer."""
    return any(node is start for node in nodes_below(end, layer.edge.node))


def _places(layer: _Layer, picture: GradientEdge) -> tuple[GradientEdge, Tensor] | str:
    """Where the picture is cut into cells, and the token of each cell `[*axes]`; or why it is not."""
    tokens, windows = layer.size[1], 0
    cuts = [GradientEdge(node, 0) for node in nearest(layer.values.grad_fn, is_convolution)]
    for edge in [*cuts, picture]:
        numbers = fed(layer.values, edge, "bf...", _BATCH)
        if numbers is None:
            continue
        labels = numbers - tokens * torch.arange(_BATCH)[:, None]
        size = _extent(layer.values, edge)
        grid = grid_of_labels(labels[0].view(size)) if bool((labels == labels[0]).all()) else None
        if grid is not None:
            return edge, grid
        windows = windows or (labels.shape[1] if edge is not picture else 0)
    if windows > tokens:
        return f"its attention looks within windows, at {tokens} of {windows} places at a time"
    return (
        f"its first attention layer looks at {tokens} tokens that are no grid of cells over the picture (channels, or "
        "cells that were mixed before)"
    )


def _extent(values: Tensor, edge: GradientEdge) -> tuple[int, ...]:
    signal = torch.autograd.grad(values.sum(), [edge], retain_graph=True)[0]
    return tuple(signal.shape[2:])


def _blocks(calls: Sequence[_Call], layers: Sequence[_Layer], starts: Sequence[Any]) -> tuple[tuple[Site, ...], int]:
    """For each layer the module that holds it and no other, skip connection included: the outermost such one.

    A network of one layer is such a module itself, so there it is the innermost.
    """

    def holds(call: _Call, k: int, wanted: tuple[int, int]) -> bool:
        if (call.before, call.after) != (k, k + 1) or len(call.shape) != 3 or call.shape[:2] != wanted:
            return False
        return _passes_by(call.node, layers[k], starts[k])

    tokens = layers[0].size[1]
    for axis, wanted in ((1, (_BATCH, tokens)), (0, (tokens, _BATCH))):
        fitting = [[call.site for call in calls if holds(call, k, wanted)] for k in range(len(layers))]
        if all(fitting):
            return tuple(sites[0 if len(layers) > 1 else -1] for sites in fitting), axis
    return (), 1
