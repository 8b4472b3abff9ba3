"""Which layers can carry a map: found by one pass that looks at every module's output."""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from pellucid.capture.layers.candidates import PASSES_ON, Candidate, Survey, settle, without_projections
from pellucid.capture.layers.measured_layouts import Measured, layouts
from pellucid.capture.operators import behind, op, operations, routes
from pellucid.capture.running import feed, forward, gradients, manner, memory_of, nothing_to_look_at
from pellucid.contracts import Canvas, Grid, Model, Site
from pellucid.errors import BadSite
from pellucid.targets import leaves, scores_of

_STAGES = 3
"""Sizes of grid that methods join which look at several layers; the edges that still earlier layers see are noise."""


@dataclass
class _Seen:
    """What a layer returned at one of its calls.

    Attributes:
        tensor: its shape and type; the values are not kept.
        edge: where the gradient of the output arrives; None without a graph.
        values: a number for its values: layers that hand on the same ones, untouched, have the same.
        given: memory, state and shape of its first input.
    """

    path: str
    module: nn.Module
    call: int
    tensor: Tensor
    edge: Any
    values: int
    given: tuple[Any, ...]


_PIXELS = 2**18
"""Of larger pictures a graph, which holds the values of all layers, takes too much memory; ..."""
_SMALL = 128
"""... a smaller one, with at least so many pixels along a side, a quarter of that in volumes, is looked at instead."""

_surveys: weakref.WeakKeyDictionary[nn.Module, tuple[Any, Survey]] = weakref.WeakKeyDictionary()


def survey(model: Model, image: Tensor) -> Survey:
    """Look at every layer once; remembered until the model's parts, its output or the input's shape change.

    Looks at noise of the shape of `image`, not at the pictures: the answer is about the model, and must not depend on
    which picture happened to come first. Must run inside `guarded`.
    """
    key = (*image.shape[1:], image.device, *manner(model), *map(id, model.module.modules()))
    known = _surveys.get(model.module)
    if known is None or known[0] != key:
        generator = torch.Generator("cpu").manual_seed(0)
        noise = torch.randn(1, *image.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
        known = _surveys[model.module] = (key, _survey(model, noise.to(image.device)))
    return known[1]


def has_no_gradient(error: RuntimeError) -> bool:
    """Whether torch says that a network runs, but cannot be differentiated."""
    words = (
        "modified by an inplace operation",
        "is a view and is being modified inplace",
        "checkpoint is incompatible with",
        "inference tensor",
    )
    return any(part in str(error) for part in words)


def recommended(model: Model, image: Tensor) -> Candidate:
    """The last layer with a grid that the score depends on.

    Raises:
        BadSite: no layer has a grid.
    """
    for candidate in survey(model, image).candidates:
        if candidate.recommended:
            return candidate
    raise BadSite(nothing_to_look_at(model, f" for an input of {list(image.shape[2:])}"))


def stages(model: Model, image: Tensor) -> tuple[Site, ...]:
    """Of the coarsest sizes of grid the last outermost layer that the score depends on, in the order of the network.

    Raises:
        BadSite: there are not two sizes.
    """
    sizes: dict[tuple[int, ...], list[Candidate]] = {}
    for candidate in survey(model, image).candidates:
        if candidate.influences:
            sizes.setdefault(candidate.grid.size, []).append(candidate)
    coarsest = sorted(sizes, key=math.prod)[:_STAGES]
    last = {min(reversed(sizes[size]), key=lambda c: c.site.path.count(".")).site for size in coarsest}
    if len(last) < 2:
        raise BadSite(
            f"The layers of {model.name} that the score depends on do not have grids of several sizes to be joined. "
            "Name at least two layers."
        )
    return tuple(c.site for c in survey(model, image).candidates if c.site in last)


def _survey(model: Model, image: Tensor) -> Survey:
    if image[0, 0].numel() > _PIXELS and (found := _survey_in_two(model, image)):
        return found
    try:
        return _describe(model, image, gradients=True)
    except RuntimeError as error:
        if not has_no_gradient(error):
            raise
    return _describe(model, image, gradients=False)  # no gradient exists, so which layers matter stays open


def _survey_in_two(model: Model, image: Tensor) -> Survey | None:
    """Sizes as they are; what depends on what from a smaller picture, as a graph holds the values of all layers.

    None where the network does not take another size, or has other layers then.
    """
    least = _SMALL if image.ndim < 5 else _SMALL // 4
    part = [slice(min(length, max(least, length // 4))) for length in image.shape[2:]]
    try:
        small = _describe(model, image[(slice(None), slice(None), *part)], gradients=True)
    except Exception:  # noqa: BLE001 - whatever the network says to another size
        return None
    whole = _describe(model, image, gradients=False)
    known = {c.site: c for c in small.candidates}
    if any(c.site not in known for c in whole.candidates):
        return None
    candidates = [replace(c, influences=known[c.site].influences, final=known[c.site].final) for c in whole.candidates]
    return Survey(settle(candidates))


def _describe(model: Model, image: Tensor, *, gradients: bool) -> Survey:
    size = tuple(image.shape[2:])
    canvas = model.canvas_of(size)
    seen, picture, score, dense = _run(model, image, gradients=gradients)
    measured = layouts(model, image)
    groups = [g for g in _by_values(seen) if not isinstance(g[0].module, PASSES_ON)]
    found = [f for g in groups if (f := _candidate(g, seen, size, canvas, measured))]
    reached = _reached([maker for _, maker in found], [c.grid for c, _ in found], score, picture)
    dense_inputs = [s.given for s in seen if isinstance(s.module, nn.Linear)]
    candidates = [
        replace(
            c,
            influences=yes,
            final=dense and yes and _only_resized(maker, score),
            projection=isinstance(maker.module, nn.Linear) and dense_inputs.count(maker.given) > 1,
        )
        for (c, maker), yes in zip(found, reached, strict=True)
    ]
    return Survey(settle(without_projections(candidates)))


def _run(model: Model, image: Tensor, *, gradients: bool) -> tuple[list[_Seen], Tensor, Tensor | None, bool]:
    """Every layer's output in the order of the pass, the picture, the top score, and whether every pixel has one."""
    seen: list[_Seen] = []
    calls: dict[str, int] = {}
    handles: list[Any] = []
    last: Tensor | None = None  # kept, so that no other values come to lie in the same place
    state: tuple[int, int, int] | None = None
    given = feed(model, image)

    def listen(path: str, part: nn.Module) -> None:
        def after(_: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            nonlocal last, state
            call = calls[path] = calls.get(path, -1) + 1
            memory = memory_of(out) if isinstance(out, Tensor) and out.is_floating_point() and out.ndim >= 2 else None
            if memory is not None:
                version = 0 if out.is_inference() else out._version
                before, state = state, (memory, version, out.numel())
                last = out.detach()
                number = seen[-1].values + (state != before) if seen else 0
                edge = get_gradient_edge(out) if out.requires_grad else None
                seen.append(
                    _Seen(path, part, call, torch.empty_like(last, device="meta"), edge, number, _identity(args))
                )

        handles.append(part.register_forward_hook(after))

    try:
        for path, part in model.module.named_modules():
            if not isinstance(part, torch.jit.ScriptModule):  # runs outside Python, where no hook is called
                listen(path, part)
        with torch.set_grad_enabled(gradients):
            first = torch.zeros(len(given), dtype=torch.int64, device=given.device)
            output = forward(model, given.requires_grad_().clone() if gradients else given, first)
            score = anything(output, model)
    finally:
        for handle in handles:
            handle.remove()
    scores = scores_of(output, model)
    return seen, given, score, isinstance(scores, Tensor) and scores.ndim == given.ndim


def _identity(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same for layers that are given the same values; memory is not used again while the graph holds it."""
    first = args[0] if args and isinstance(args[0], Tensor) else torch.empty(0)
    return first.data_ptr(), first._version, tuple(first.shape)


def anything(output: Any, model: Model) -> Tensor | None:
    """Something to differentiate: the largest value of each part of the output that could be a score, or None."""
    found = [t for t in leaves(scores_of(output, model)) if t.requires_grad and t.numel()]
    return torch.stack([t.amax() for t in found]).sum() if found else None


def _only_resized(maker: _Seen, score: Tensor | None) -> bool:
    between = () if score is None else operations(score, maker.edge)
    resized = (op.ADD, op.SUM, op.INTERPOLATE)
    return all(routes(name) or behind(name) in resized for name in between)


def _by_values(seen: list[_Seen]) -> list[list[_Seen]]:
    """Runs of layers that hand on one and the same values, in the order of the pass."""
    return [list(group) for _, group in itertools.groupby(seen, key=lambda s: s.values)]


def _candidate(
    group: list[_Seen],
    seen: list[_Seen],
    size: tuple[int, ...],
    canvas: Canvas,
    measured: Mapping[tuple[str, int], Measured],
) -> tuple[Candidate, _Seen] | None:
    """The layer to name for a group: called once if possible, then outermost, then first."""
    named = [s for s in group if s.path]
    once = [s for s in named if sum(o.path == s.path for o in seen) == 1]
    if not named:
        return None
    best = min(once or named, key=lambda s: s.path.count("."))
    shape, known = tuple(best.tensor.shape[1:]), measured.get((best.path, best.call))
    if known is None or known.shape != shape or isinstance(known.grid, str):
        return None
    grid = known.grid
    site = Site(best.path, None if best in once else best.call)
    lengths = zip(size, grid.size, canvas.part, canvas.size, strict=True)
    stride = tuple(length / (cells * part / whole) for length, cells, part, whole in lengths)
    aliases = tuple(s.path for s in named if s is not best)
    return Candidate(site, type(best.module).__name__, shape, grid, stride, True, aliases), best


def _reached(makers: list[_Seen], grids: list[Grid], score: Tensor | None, picture: Tensor) -> list[bool]:
    """For each layer, whether the score's gradient is anything but zero on its grid; looked at as it passes by."""
    if score is None or not any(s.edge is not None for s in makers):
        return [score is None] * len(makers)
    reached = [False] * len(makers)

    def watch(k: int) -> None:
        def arrives(signals: tuple[Tensor | None, ...]) -> None:
            signal = signals[makers[k].edge.output_nr]
            if signal is not None and signal.ndim == makers[k].tensor.ndim:
                reached[k] = bool((grids[k].to_maps(signal) != 0).any())

        makers[k].edge.node.register_prehook(arrives)

    for k, maker in enumerate(makers):
        if maker.edge is not None:
            watch(k)
    gradients(score, [picture], allow_unused=True)
    return reached
