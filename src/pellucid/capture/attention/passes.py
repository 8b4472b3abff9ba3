"""One pass that brings back what every attention layer did, heads joined as soon as a matrix is at hand.

In one file, since all summaries are read in the same pass.

With A_l the attention of layer l, `[batch, head, query, key]`, and S the target's score, a *summary* of a layer is

    mean, min, max       of A_l over its heads
    evidence             mean over heads of max(A_l * dS/dA_l, 0)
    sensitivity-mean     mean over heads and queries of max(dS_l/dA_l, 0), with S_l the score if every token behind the
                         last layer were the mean of the tokens behind layer l
    sensitivity-own      the same with S_l the score if the tokens behind the last layer were those behind layer l

The first three need no graph before the last layer, where the gradient tells which tokens the score reads. For the last
two the tokens of all layers go through what follows the last layer as further rows of one batch, and each layer has a
graph of its own, so that one backward pass serves them all and S_l sees nothing but its own layer.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from pellucid.capture.attention.layout import Transformer, noise, transformer
from pellucid.capture.attention.operations import Attending
from pellucid.capture.running import (
    CUT_IN_THE_WAY,
    Change,
    Recorder,
    close,
    feed,
    forward,
    forward_together,
    frozen,
    gradients,
    is_out_of_memory,
)
from pellucid.contracts import Attentions, Model, Site
from pellucid.errors import BadOption, Refused
from pellucid.numerics import full_precision
from pellucid.targets import Interpretation, NotUnderstood, Target, leaves, read

JOINED: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"mean": lambda a: a.mean(1), "min": lambda a: a.amin(1), "max": lambda a: a.amax(1)}
)
"""Summaries of the matrices alone, by what becomes of the heads."""
EVIDENCE = "evidence"
SENSITIVITY: Mapping[str, str] = MappingProxyType({"mean": "sensitivity-mean", "own": "sensitivity-own"})
"""Summaries of the gradients alone, by what is scored."""


def summaries(needs: Collection[str], options: Mapping[str, Any]) -> dict[str, str]:
    """The summary for each of a method's parameters that asks for attention layers; options `heads`, `tokens` choose.

    Raises:
        BadOption: an option has a value that no summary goes by.
    """
    chosen = {"attentions": ("heads", "mean", JOINED), "attention_sensitivity": ("tokens", "mean", SENSITIVITY)}
    found = {"attention_evidence": EVIDENCE} if "attention_evidence" in needs else {}
    for name, (option, default, known) in chosen.items():
        if name in needs:
            value = options.get(option, default)
            if value not in known:
                raise BadOption(f"expected {' or '.join(map(repr, known))} as {option}, got {value!r}.")
            found[name] = SENSITIVITY[value] if name == "attention_sensitivity" else value
    return found


class _NoGraph(Exception):
    """The network cut the graph that began at its attention layers."""


def look_at_attention(
    model: Model, image: Tensor, samples: Tensor, targets: Sequence[Target], wanted: Sequence[str], *, reading: bool
) -> tuple[Interpretation, Sequence[Target], dict[tuple[int, str], Attentions]]:
    """What the attention layers of a network did, by (target number, summary).

    A network for which a summary would mislead gives `Attentions` that say why. Must run inside `guarded`.

    Args:
        model: the network.
        image: `[batch, channel, row, column]`.
        samples: which picture each row belongs to.
        targets: resolved, unless `reading`.
        wanted: the summaries.
        reading: True if what the model says is wanted; the targets are resolved by it.

    Returns:
        What the model says, the targets as they were scored, and the layers.

    Raises:
        Refused: the network takes another way for these pictures than for noise, or has no gradient.
    """
    layers = transformer(model, image)
    trouble = {name: layers.trouble or _trouble(model, image, layers, name) for name in wanted}
    clear = [name for name in wanted if not trouble[name]]
    chain = [name for name in clear if name not in SENSITIVITY.values()]
    passes: list[_Pass] = [_Chain(model, image, layers, chain)] if chain else []
    passes += [_Heads(model, image, layers, pooling) for pooling, name in SENSITIVITY.items() if name in clear]
    says: Interpretation = NotUnderstood()
    found = {(k, name): Attentions(trouble=why) for k in range(len(targets)) for name, why in trouble.items() if why}
    if reading and not passes:
        passes = [_Pass(model, image, layers)]
    for number, each in enumerate(passes):
        output = each.run(samples)
        if reading and number == 0:
            says = read(output, model).first(len(image))
            targets = [target.resolve(says.placed(samples), model) for target in targets]
        for k, target in enumerate(targets):
            found |= {(k, name): looks for name, looks in each.explain(target, output, samples).items()}
    return says, targets, found


class _Pass(Attending):
    """One forward pass whose graph begins in attention layers, and the gradients that its summaries need.

    Attributes:
        first: the layers, numbered from 0, in whose inputs graphs begin.
        edges: where the gradient of each layer's matrix flows to; None where there is no graph.
        starts: where the graphs begin.
    """

    first: Collection[int] = ()

    def __init__(self, model: Model, image: Tensor, layers: Transformer) -> None:
        super().__init__()
        self.model, self.image, self.layers = model, image, layers
        self.depth = len(layers.calls)
        self.from_image = False
        self.edges: list[GradientEdge | None] = []
        self.starts: list[Tensor] = []

    def take(self, layer: int, matrix: Tensor) -> None:
        """Called with each layer's matrix `[batch, head, query, key]`, which the network may overwrite later."""

    def changes(self) -> dict[Site, Change]:
        """What to replace on the way."""
        return {}

    def explain(self, target: Target, output: Any, samples: Tensor) -> dict[str, Attentions]:  # noqa: ARG002
        """Every summary of this pass for one target; none for a pass that is run for its output alone."""
        return {}

    def run(self, samples: Tensor) -> Any:
        """The model's output; its graph begins as late as it can."""
        if not self.first:
            with torch.no_grad():
                return forward_together(self.model, feed(self.model, self.image), samples)
        try:
            return self._run(samples)
        except _NoGraph:
            pass
        except RuntimeError as error:
            if not any(words in str(error) for words in CUT_IN_THE_WAY):
                raise
        self.from_image = True
        try:
            return self._run(samples)
        except _NoGraph:
            raise Refused(
                "This network hides its attention layers from the gradient (torch.no_grad inside?)."
            ) from None

    def _run(self, samples: Tensor) -> Any:
        rows = feed(self.model, self.image)
        self.count, self.leaves, self.edges = 0, [], []
        with ExitStack() as stack:
            stack.enter_context(frozen(self.model.module))
            stack.enter_context(torch.set_grad_enabled(self.from_image))
            stack.enter_context(Recorder(self.model.module, (), changes=self.changes()))
            if self.from_image:
                rows.requires_grad_()
            with self:
                output = forward_together(self.model, rows.clone() if self.from_image else rows, samples)
        if len(self.edges) != self.depth:
            raise Refused(
                f"This network used {len(self.edges)} attention layers for these pictures and {self.depth} for noise: "
                "it goes another way from picture to picture."
            )
        if any(edge is None for edge in self.edges[min(self.first) :]):
            raise _NoGraph
        self.starts = self.leaves or [rows]
        return output

    def begins(self, number: int) -> bool:
        """At the layers that were named; not where one graph from the picture on does the same."""
        if self.from_image and len(self.first) == 1:
            return False
        return number in (self.layers.calls[k] for k in self.first)

    def weights(self, number: int, weights: Tensor, edge: GradientEdge | None) -> None:
        """Take a layer's matrix in; a softmax that is no attention is passed by."""
        if number not in self.layers.calls:
            return
        size = self.layers.tokens
        if weights.shape[-2:] != (size, size) or weights.numel() % (len(self.image) * size * size):
            raise Refused(
                f"An attention layer of this network gave a matrix of shape {list(weights.shape)} for a picture where "
                f"{size} tokens look at {size}: it goes another way from picture to picture."
            )
        self.take(len(self.edges), self._by_head(weights.detach()))
        self.edges.append(edge)

    def _by_head(self, matrix: Tensor) -> Tensor:
        return matrix.reshape(len(self.image), -1, self.layers.tokens, self.layers.tokens)

    def backward(self, score: Tensor, meet: Callable[[int, Tensor], None]) -> None:
        """Differentiate the sum of a score; `meet` gets each layer's number and gradient `[batch, head, query, key]`.

        Layers that the score does not depend on are left out.
        """
        if not score.requires_grad:
            return

        def catch(layer: int, signals: Sequence[Tensor | None]) -> None:
            if signals[0] is not None:
                meet(layer, full_precision(self._by_head(signals[0])))

        edges = [(k, edge) for k, edge in enumerate(self.edges) if edge is not None]
        handles = [edge.node.register_prehook(partial(catch, k)) for k, edge in edges]
        try:
            with torch.enable_grad():
                total = score.sum()  # rows do not influence each other, so one pass gives every row its own gradient
            gradients(total, self.starts, retain_graph=True, allow_unused=True)
        finally:
            for handle in handles:
                handle.remove()

    def attentions(self, layers: Sequence[Tensor], read: Tensor | None = None) -> Attentions:
        """The layers with what is known of the network."""
        return Attentions(tuple(layers), self.layers.places, read, _notes(self.layers))


class _Chain(_Pass):
    """Summaries that belong to the score itself."""

    def __init__(self, model: Model, image: Tensor, layers: Transformer, names: Sequence[str]) -> None:
        super().__init__(model, image, layers)
        self.evidence = EVIDENCE in names
        self.first = (0 if self.evidence else self.depth - 1,)
        self.joined: dict[str, dict[int, Tensor]] = {name: {} for name in names if name in JOINED}
        self.matrices: dict[int, Tensor] = {}

    def take(self, layer: int, matrix: Tensor) -> None:
        """Join the heads at once; keep the matrix only for the product with its gradient."""
        for name, kept in self.joined.items():
            kept[layer] = JOINED[name](full_precision(matrix))
        if self.evidence:
            self.matrices[layer] = matrix

    def explain(self, target: Target, output: Any, samples: Tensor) -> dict[str, Attentions]:
        """All of them, and which tokens the score reads behind the last layer."""
        with torch.enable_grad():
            score = target.score(output, samples, self.model)
        size = self.layers.tokens
        none = full_precision(score.detach()).new_zeros(len(score), size, size)
        read, found = none[:, 0], dict.fromkeys(range(self.depth), none)

        def meet(layer: int, gradient: Tensor) -> None:
            nonlocal read
            if self.evidence:
                found[layer] = (full_precision(self.matrices[layer]) * gradient).relu_().mean(1)
            if layer == self.depth - 1:
                read = (gradient != 0).any(1).any(-1).to(gradient.dtype)

        self.backward(score, meet)
        by_name = {**self.joined, **({EVIDENCE: found} if self.evidence else {})}
        return {name: self.attentions([layers[k] for k in range(self.depth)], read) for name, layers in by_name.items()}


class _Heads(_Pass):
    """Summaries that belong to scores of the layers' own, given by the network's head behind the last layer."""

    def __init__(self, model: Model, image: Tensor, layers: Transformer, pooling: str) -> None:
        super().__init__(model, image, layers)
        self.pooling, self.first = pooling, range(self.depth)
        self._tokens: list[Tensor] = []

    def changes(self) -> dict[Site, Change]:
        """At each layer's block: remember the tokens, and cut the graph."""
        self._tokens = []
        return {site: partial(self._meet, k) for k, site in enumerate(self.layers.blocks)}

    def _meet(self, layer: int, tokens: Tensor) -> Tensor:
        axis = self.layers.token_axis
        own = tokens.mean(axis, keepdim=True).expand_as(tokens) if self.pooling == "mean" else tokens.clone()
        self._tokens.append(own)
        on = tokens.detach().clone()  # the next layer may write into it
        return on if layer + 1 < self.depth else torch.cat([on, *self._tokens], 1 - axis)

    def explain(self, target: Target, output: Any, samples: Tensor) -> dict[str, Attentions]:
        """One summary; the target is that of the picture, whatever its tokens midway have on top."""
        batch = len(samples)
        with torch.enable_grad():
            scores = target.score(output, samples.repeat(1 + self.depth), self.model)[batch:]
        none = full_precision(scores.detach()).new_zeros(batch, self.layers.tokens)
        found = dict.fromkeys(range(self.depth), none)

        def meet(layer: int, gradient: Tensor) -> None:
            found[layer] = gradient.relu().mean((1, 2))

        self.backward(scores, meet)
        return {SENSITIVITY[self.pooling]: self.attentions([found[k] for k in range(self.depth)])}


def _notes(layers: Transformer) -> tuple[str, ...]:
    if layers.places is None:
        return ()
    size = " x ".join(map(str, layers.places.shape))
    notes = [f"The network sees the picture as {size} tokens."]
    if others := layers.tokens - layers.places.numel():
        notes = [f"The network sees the picture as {size} tokens; the map leaves out {others} without a place."]
    if layers.fused:
        notes.append(
            f"Attention is fused in {layers.fused} of {len(layers.calls)} layers, which never form its matrix; this "
            "pass computed the matrices itself."
        )
    return tuple(notes)


_apart: weakref.WeakSet[Transformer] = weakref.WeakSet()  # those whose heads were tried with a longer batch


def _trouble(model: Model, image: Tensor, layers: Transformer, summary: str) -> str:
    """Why a network whose layers are known has no head for a summary that needs one of each layer."""
    if summary not in SENSITIVITY.values():
        return ""
    if not layers.blocks:
        return "its layers are no modules of their own, so the tokens behind each of them cannot be had"
    if layers not in _apart:
        if not _rows_stay_apart(model, image, layers):
            return "what follows its last layer depends on the rest of the batch"
        _apart.add(layers)
    return ""


def _rows_stay_apart(model: Model, image: Tensor, layers: Transformer) -> bool:
    """Whether further rows behind the last layer leave the first ones' output as it is."""
    (rows, samples), axis = noise(model, image), 1 - layers.token_axis
    more = {layers.blocks[-1]: lambda tokens: torch.cat([tokens, tokens.flip(axis), -tokens], axis)}
    with torch.no_grad():
        plain = list(leaves(forward(model, rows.clone(), samples)))
        try:
            with Recorder(model.module, (), changes=more):
                longer = list(leaves(forward(model, rows.clone(), samples)))
        except Exception as error:  # whatever a network does with more rows than it was given
            if is_out_of_memory(error):
                raise
            return False
    return len(plain) == len(longer) and all(close(a, b[: len(a)]) for a, b in zip(plain, longer, strict=True))
