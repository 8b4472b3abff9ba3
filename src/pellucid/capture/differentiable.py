"""Live values inside a network: what an objective sees, still part of the graph, and nothing run beyond the last.

In one file with the rescue of dead rectifiers, which only this pass can do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils.hooks import RemovableHandle

from pellucid.capture.backward_rules import Rectifiers, Rewriting, as_rectifier
from pellucid.capture.layers import footprint
from pellucid.capture.operators import nodes
from pellucid.capture.running import (
    Budget,
    Stop,
    answered,
    conduct,
    find_module,
    forward,
    frozen,
    goes_last,
    gradients,
    guarded,
    input_type,
)
from pellucid.contracts import Model, Site
from pellucid.errors import BadOption, BadSite
from pellucid.targets import logits

T = TypeVar("T")
_CPU_MOST, _CPU_LEAST, _CPU_BYTES = 64, 8, 2**29
"""On a CPU: pictures at once at most, and how many at least even where they take more memory than this."""


@dataclass(frozen=True, eq=False)
class ForwardResult:
    """What `DifferentiableForward.ask` found.

    Attributes:
        value: `[batch]`.
        gradient: of its sum.
        layers: what the sites give.
        uncovered: activations on the way that the rule does not cover, in words.
    """

    value: Tensor
    gradient: Tensor
    layers: dict[Site, Tensor]
    uncovered: tuple[str, ...]


class DifferentiableForward:
    """Runs a network on pictures that want a gradient, and brings back layers and scores.

    Made by `differentiable_forward`, which guards the network. Weights count as constants, so no gradient is ever
    computed for them.

    Attributes:
        rescued: how often the gradient of a picture was led around dead rectifiers.
        edges: of the last pass, where gradients towards the sites flow to.
        rules: of the last pass, what rectifiers send back.
    """

    def __init__(self, model: Model, sites: Sequence[Site], *, scores: bool) -> None:
        self.model, self.sites, self.scores = model, tuple(dict.fromkeys(sites)), scores
        self.parts = {site: find_module(model.module, site.path) for site in self.sites}
        self.calls: Counter[Site] = Counter()
        self.rescued = 0
        self.edges: dict[Site, GradientEdge] = {}
        self.order = torch.contiguous_format
        self.rules = Rectifiers()
        self._measured: Model | None = None

    def measured(self, pictures: Tensor) -> Model:
        """The model with what its scores are, as `answered` measures it; asked once, of the first pictures."""
        if self._measured is None:
            self._measured = answered(self.model, pictures.detach()[:1])
        return self._measured

    def check(self, pictures: Tensor) -> dict[Site, tuple[int, ...]]:
        """Run once, whole and without a graph: shapes at the sites; and the faster order of memory, for passes to come.

        Raises:
            BadSite: a layer that is called never, or several times without saying which.
        """
        if self.scores:
            self.measured(pictures)
        with torch.no_grad():
            self.order = torch.channels_last if goes_last(self.model, pictures) else torch.contiguous_format
            seen, _ = self._run(pictures, whole=True)
        for site in self.sites:
            if site not in seen:
                raise BadSite(f"The layer '{site}' was not met in this pass. `pellucid layers MODEL` lists layers.")
            if site.call is None and self.calls[site] > 1:
                raise BadSite(
                    f"The layer {site.path!r} is called {self.calls[site]} times in one pass. Say which: "
                    f"'{site.path}:0' is the first."
                )
        return {site: tuple(tensor.shape) for site, tensor in seen.items()}

    def see(
        self, pictures: Tensor, *, rescue: bool = False, rule: str = "plain"
    ) -> tuple[dict[Site, Tensor], Tensor | None]:
        """Values at the sites, and scores `[batch, class]` if they are wanted; all part of the graph.

        Args:
            pictures: `[batch, channel, row, column]`.
            rescue: lead the gradient around rectifiers that are dead for a whole picture.
            rule: what rectifiers send back, see `capture/backward_rules/relu.py`: `plain`, `guided` or `deconvnet`.
        """
        if not pictures.requires_grad:
            pictures = pictures.detach().requires_grad_()
        if self.scores:
            self.measured(pictures)  # whether one number has two sides
        self.rules = Rectifiers(rule)
        if rule != "plain":
            self.rules.prepare(self.model, pictures.detach()[:1], torch.zeros(1, dtype=torch.int64))
        self.rules.feed(pictures, self.model)
        mode = _Redirected(self) if rescue else nullcontext() if rule == "plain" else self.rules
        with torch.enable_grad(), mode:
            return self._run(pictures, whole=self.scores)

    def ask(
        self,
        pictures: Tensor,
        value: Callable[[dict[Site, Tensor], Tensor | None], Tensor],
        *,
        rule: str = "plain",
        at: Site | None = None,
    ) -> ForwardResult:
        """A number per picture, made of what layers and scores are, and its gradient at the pictures or at a layer.

        Args:
            pictures: as of `see`.
            value: of layers and scores, `[batch]`.
            rule: as of `see`.
            at: the layer whose gradient is wanted; None is that of the pictures.

        Raises:
            BadSite: the value does not depend on the layer.
        """
        given = pictures.detach().requires_grad_()
        layers, scores = self.see(given, rule=rule)
        asked = in_graph(lambda: value(layers, scores))
        uncovered = () if rule == "plain" else self.rules.uncovered(list(nodes(asked)))
        if at is None:
            found = slopes(asked, [given])[0]
        else:
            towards = gradient(asked, self.edges[at]) if at in self.edges else None
            if towards is None:
                raise BadSite(f"What is asked for does not depend on the layer '{at}'. Name a layer before it.")
            found = towards
        return ForwardResult(asked.detach(), found, {site: layer.detach() for site, layer in layers.items()}, uncovered)

    def slope(self, pictures: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
        """The gradient at the pictures of a number per picture, `[batch]`, that is made of the scores."""

        def of_scores(_: dict[Site, Tensor], scores: Tensor | None) -> Tensor:
            if scores is None:
                raise BadOption("The network's output has no class scores.")
            return value(scores)

        return self.ask(pictures, of_scores).gradient

    def _run(self, pictures: Tensor, *, whole: bool) -> tuple[dict[Site, Tensor], Tensor | None]:
        seen: dict[Site, Tensor] = {}
        self.calls.clear()
        self.edges.clear()
        handles = [self._listen(site, seen, whole=whole) for site in self.sites]
        given = pictures.to(input_type(self.model, pictures), memory_format=self.order)
        samples = torch.zeros(len(pictures), dtype=torch.int64)
        try:
            output = forward(self.model, given, samples)
        except Stop:
            return seen, None
        finally:
            for handle in handles:
                handle.remove()
        return seen, logits(output, self._measured or self.model) if self.scores else None

    def _listen(self, site: Site, seen: dict[Site, Tensor], *, whole: bool) -> RemovableHandle:
        def meet(value: Any) -> None:
            if site.call in (None, self.calls[site]):
                if not isinstance(value, Tensor):
                    raise BadSite(
                        f"The layer {site.path!r} gives {type(value).__name__}, not a tensor. Choose one inside."
                    )
                seen[site] = value.clone()  # the network may go on to overwrite it
                if value.requires_grad:
                    self.edges[site] = get_gradient_edge(value)
            self.calls[site] += 1
            if not whole and len(seen) == len(self.sites):
                raise Stop

        part = self.parts[site]
        if site.port == "input":
            return part.register_forward_pre_hook(lambda _, args: meet(args[0] if args else None))
        return part.register_forward_hook(lambda _, __, out: meet(out))


@contextmanager
def differentiable_forward(model: Model, sites: Sequence[Site], *, scores: bool) -> Iterator[DifferentiableForward]:
    """A `DifferentiableForward` for as long as the network is guarded: afterwards it is exactly as it was before."""
    with guarded(model.module), frozen(model.module):
        yield DifferentiableForward(model, sites, scores=scores)


def at_once(model: Model, pictures: Tensor, views: int = 1) -> int:
    """How many pictures to take a gradient of together: as many as fit into memory, and not more than gain by it.

    Small pictures gain most, as what a step costs beside its arithmetic is shared by all.

    Args:
        model: the network; afterwards exactly as it was.
        pictures: one such picture `[1, channel, row, column]`.
        views: rows that each becomes.
    """
    with guarded(model.module):
        if conduct(model, pictures).alone:  # it would let them influence each other
            return 1
        bytes_per_row = views * footprint(model, pictures).there_and_back
    most = (
        min(_CPU_MOST, max(_CPU_LEAST, _CPU_BYTES // max(bytes_per_row, 1))) if pictures.device.type == "cpu" else None
    )
    return Budget(pictures.device).rows(bytes_per_row, most)


_FEW = 8
"""A signal is looked for in every so manieth column first: most are alive, and found so at little cost."""


class _Redirected(Rewriting):
    """Rectifiers whose gradient does not die: Olah et al., "Feature visualization" (lucid), per picture.

    Where a rectifier lets nothing of a picture's signal through, the part of the signal that pushes its input back into
    the live range passes all the same.
    """

    def __init__(self, owner: DifferentiableForward) -> None:
        super().__init__()
        self.owner = owner

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.check_call(func)
        kwargs = kwargs or {}
        found = as_rectifier(func, args, kwargs, exact=True) if torch.is_grad_enabled() else None
        if found is None or not found[0].requires_grad:
            return func(*args, **kwargs)
        x, ceiling, in_place = found
        rescued: Tensor = (_RescuedInPlace if in_place else _Rescued).apply(x, ceiling, self.owner)
        return rescued


class _Rescued(torch.autograd.Function):
    """Only where values were cut off is kept: a network may write into what a rectifier was given, or gave."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float, owner: DifferentiableForward) -> Tensor:
        _note_cuts(ctx, x, ceiling, owner)
        return x.clamp(0, None if math.isinf(ceiling) else ceiling)

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor, None, None]:
        (low, *high), (signal,) = ctx.saved_tensors, signals
        plain = signal.masked_fill(low | high[0] if high else low, 0)
        for k, row in enumerate(plain) if plain.ndim else ():
            if (row.ndim and bool(row[..., ::_FEW].any())) or bool(row.any()):
                continue
            outwards = low[k] & (signal[k] < 0)
            if high:
                outwards |= high[0][k] & (signal[k] > 0)
            back = signal[k].masked_fill(outwards, 0)
            if bool(back.any()):
                row.copy_(back)
                ctx.owner.rescued += 1
        return plain, None, None


class _RescuedInPlace(_Rescued):
    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float, owner: DifferentiableForward) -> Tensor:
        _note_cuts(ctx, x, ceiling, owner)
        ctx.mark_dirty(x)
        return x.clamp_(0, None if math.isinf(ceiling) else ceiling)


def _note_cuts(ctx: Any, x: Tensor, ceiling: float, owner: DifferentiableForward) -> None:
    ctx.save_for_backward(x <= 0, *([] if math.isinf(ceiling) else [x >= ceiling]))
    ctx.owner = owner


def gradient(value: Tensor, inside: GradientEdge) -> Tensor | None:
    """The gradient of value.sum() at `inside`, held fixed; None where they do not meet. The graph stays for more."""
    (found,) = gradients(value, [inside], torch.ones_like(value), retain_graph=True, allow_unused=True)
    return None if found is None else found.detach()


def in_graph(compute: Callable[[], T]) -> T:
    """What `compute` returns, with a graph behind it."""
    with torch.enable_grad():
        return compute()


def slopes(value: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """The gradient of value.sum() for each parameter; zero where they do not meet."""
    found = gradients(value, parameters, torch.ones_like(value), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
