"""`pellucid.look`: one value inside a network, worked out in front of one's eyes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.capture.guard import guarded
from pellucid.capture.pieces import Pieces, apply_alone, take_apart
from pellucid.capture.receptive import ReceptiveField
from pellucid.capture.tape import find_module
from pellucid.capture.trace import Kept, ModuleCall, Step, Trace, trace
from pellucid.errors import BadOption, BadSite
from pellucid.inspection.fields import fields_of
from pellucid.inspection.inputs import read_input
from pellucid.models import wrap
from pellucid.types import Model, Picture, Site

_NORMS = ("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training", "batch_norm")
_DENSE = ("mm", "addmm")
_VIEWS = ("view", "_unsafe_view", "alias", "unsqueeze", "squeeze")
_FOLLOWED = 5


@dataclass(frozen=True)
class Stage:
    """One operation on the single value.

    Attributes:
        name: of the operation, such as `batch_norm`.
        path: the module that it belongs to.
        formula: with the numbers in it.
        worked: what the formula gives in float64.
        value: what the network has.
        inside: whether it belongs to the layer itself, rather than to what follows.
    """

    name: str
    path: str
    formula: str
    worked: float
    value: float
    inside: bool = True


@dataclass(frozen=True, eq=False)
class Look:
    """One value of one layer, taken apart.

    Attributes:
        model: the network.
        site: the layer.
        unit: channel or feature.
        at: position on the layer's grid; empty without one.
        pieces: what the layer's own operation made the value of; None for elementwise layers.
        stages: the layer's operation itself, then normalisation and activation behind it, as far as only these follow.
        field: the layer's receptive field, if it has one.
        box: first and last row, first and last column of the model's input that the value can depend on.
        picture: what the network was fed; None for a tensor.
    """

    model: Model
    site: Site
    unit: int
    at: tuple[int, ...]
    pieces: Pieces | None
    stages: tuple[Stage, ...]
    field: ReceptiveField | None
    box: tuple[tuple[int, int], ...] | None
    picture: Picture | None

    @property
    def value(self) -> float:
        """What the layer has there."""
        return [stage.value for stage in self.stages if stage.inside][-1]

    def draw(self) -> Any:
        """The picture with the receptive field, the strongest channels' cells, weights and products, and the sum.

        Returns:
            An RGB `PIL.Image`.

        Raises:
            BadSite: the layer is not two-dimensional or has no cells to show; the numbers still hold.
        """
        from pellucid.inspection.value_picture import draw

        return draw(self)

    def save(self, path: str | Path) -> Path:
        """Write `draw()` to a file.

        Raises:
            BadSite: as `draw()`.
            BadOption: the file cannot be written.
        """
        from pellucid.report.folder import writing

        target, picture = Path(path).expanduser(), self.draw()
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.save(target)
        return target


def look(model: Model | nn.Module, picture: Any, layer: str | Site, unit: int, at: tuple[int, ...] = ()) -> Look:
    """Explain one value of a layer: the cells it sees, the weights, the products, the sum, and what follows.

    Args:
        model: a `Model` or any `nn.Module`; left exactly as it was.
        picture: a path, PIL image or array, or a tensor with a batch axis, of which the first sample counts.
        layer: a convolution, dense layer, pooling, normalisation or activation, or a module with one such inside.
        unit: channel or feature, from 0.
        at: row and column on the layer's grid, from 0; empty for layers without positions.

    Raises:
        UnknownName: there is no such layer.
        BadSite: the layer is not called, or is made of several weighted operations: choose one inside.
        BadOption: the unit or position lies outside of the layer's output.
    """
    model, site = wrap(model), Site.parse(layer)
    image, decoded = read_input(model, picture)
    image = image[:1]
    with guarded(model.module):
        find_module(model.module, site.path)
        found = trace(model, image)
        call = _call(found, site)
        main = _main(found, call)
        chain = [main, *_following(found, main, call)]
        kept = trace(model, image, {step.number for step in chain}).kept
        shape = call.shape or found.steps[main.number].outputs[0]
        last = len(shape) == 3 and (_name(main) in _DENSE or image.ndim == 4)
        _check(site, shape, unit, at, last=last)
        pieces, stages = _worked(found, chain, kept, call, lambda t: _index(t, unit, at, last=last), unit, at)
        field = fields_of(model, image, found).get(site.path) if image.ndim >= 3 else None
    box = field.box(*at) if field and len(at) == field.boxes.ndim - 1 else None
    if field and box is None and field.status == "whole picture":
        box = tuple((0, n - 1) for n in field.pixels)
    return Look(model, site, unit, at, pieces, stages, field, box, decoded)


def _call(found: Trace, site: Site) -> ModuleCall:
    calls = [call for call in found.calls if call.path == site.path]
    if not calls:
        raise BadSite(f"The layer '{site}' is never called in evaluation mode, so it has no values.")
    if site.call is None and len(calls) > 1:
        choices = ", ".join(f"'{Site(site.path, k)}'" for k in range(min(len(calls), 4)))
        raise BadSite(f"The layer {site.path!r} is called {len(calls)} times in one pass. Say which: {choices}.")
    if (site.call or 0) >= len(calls):
        raise BadSite(f"The layer {site.path!r} is called {len(calls)} times, so there is no '{site}'.")
    return calls[site.call or 0]


def _name(step: Step) -> str:
    return step.operation.removeprefix("aten::")


def _main(found: Trace, call: ModuleCall) -> Step:
    """The one operation of the layer that makes values of several cells, or its only operation."""
    steps = [found.steps[number] for number in call.steps]
    heavy = [s for s in steps if s.multiply_adds or "pool" in _name(s) or _name(s) == "mean"]
    if len(heavy) == 1:
        return heavy[0]
    if len(steps) == 1:
        return steps[0]
    inside = [c.path for c in found.calls if c.parent == call.number][:6]
    hint = f" Choose one inside: {', '.join(map(repr, inside))}." if inside else ""
    raise BadSite(
        f"The layer '{call.path or 'the whole network'}' does {len(steps)} operations, {len(heavy)} of them sums over "
        f"cells, so no single one explains its values.{hint}"
    )


def _following(found: Trace, main: Step, call: ModuleCall) -> Iterator[Step]:
    """What happens to the value in the rest of the layer, then normalisation and activation behind it.

    Only while each is the only operation that uses the result.
    """
    step = main
    for _ in range(_FOLLOWED):
        users = [s for s in found.steps[step.number + 1 :] if step.number in s.inputs]
        if len(users) != 1 or users[0].inputs != (step.number,):
            return
        moved = _name(users[0]) in _VIEWS and users[0].number in call.steps
        same = users[0].outputs[0] == step.outputs[0]
        step = users[0]
        if not moved and not (same and (_name(step) in _NORMS or _is_elementwise(step))):
            return
        yield step


def _is_elementwise(step: Step) -> bool:
    name = _name(step)
    packet = getattr(torch.ops.aten, name, None)
    overloads = packet.overloads() if packet is not None else ()
    return any(torch.Tag.pointwise in getattr(packet, overload).tags for overload in overloads)


def _check(site: Site, shape: tuple[int, ...], unit: int, at: tuple[int, ...], *, last: bool) -> None:
    """Channels first `[1, unit, *grid]`, or tokens with their features last."""
    units, grid = (shape[2], shape[1:2]) if last else (shape[1], shape[2:])
    if not 0 <= unit < units:
        raise BadOption(f"The layer '{site}' has the units 0 to {units - 1}; got {unit}.")
    if len(at) != len(grid) or any(not 0 <= place < n for place, n in zip(at, grid, strict=True)):
        wanted = " x ".join(map(str, grid)) or "no positions"
        got = ",".join(map(str, at)) or "none"
        raise BadOption(f"The grid of '{site}' is {wanted}; got the position {got}.")


def _worked(
    found: Trace,
    chain: list[Step],
    kept: Mapping[int, Kept],
    call: ModuleCall,
    index: Callable[[Tensor], tuple[int, ...]],
    unit: int,
    at: tuple[int, ...],
) -> tuple[Pieces | None, tuple[Stage, ...]]:
    main = kept[chain[0].number]
    pieces = take_apart(main, unit, at)
    stages: list[Stage] = []
    before = math.nan
    for step in chain:
        one, inside = kept[step.number], step.number in call.steps
        if _name(step) in _VIEWS:
            continue
        value = float(one.output[index(one.output)])
        name, path = _name(step).rstrip("_"), found.calls[step.call].path
        if step is chain[0] and pieces is not None:
            stages.append(Stage(name, path, _sum_formula(pieces), pieces.worked, value))
        elif name in _NORMS:
            formula, worked = _norm(one, unit, index)
            stages.append(Stage("batch_norm", path, formula, worked, value, inside))
        else:
            first = next(t for t in one.given.values() if isinstance(t, Tensor))
            before = float(first[index(first)]) if first.shape == one.output.shape else math.nan
            if not _is_elementwise(step) or math.isnan(before) or len(step.inputs) != 1:
                raise BadSite(f"The layer's operation {name} is not one that can be taken apart into cells.")
            worked = apply_alone(one, before, index(one.output))
            formula = f"{name}({before:.6g}) = {worked:.6g}"
            if name == "add":
                name, formula = "bias", f"{before:.6g} + {_signed(worked - before)} = {worked:.6g}"
            stages.append(Stage(name, path, formula, worked, value, inside))
    if not any(stage.inside for stage in stages):
        raise BadSite(f"The layer '{call.path}' only moves values to other places. Look at the layer before it.")
    return pieces, tuple(stages)


def _index(tensor: Tensor, unit: int, at: tuple[int, ...], *, last: bool) -> tuple[int, ...]:
    if tensor.ndim == 2:  # tokens as rows of a matrix, or features without positions
        return (at[0] if at else 0, unit)
    return (0, *at, unit) if last else (0, unit, *at)


def _sum_formula(pieces: Pieces) -> str:
    if pieces.kind == "maximum":
        place = ", ".join(map(str, (pieces.winner or ())[1:]))
        return f"the largest of {pieces.cells.numel()} cells = {pieces.worked:.6g}, at place {place} of the window"
    if pieces.kind == "mean":
        return f"the mean of {pieces.cells.numel()} cells = {pieces.worked:.6g}"
    total = float(pieces.products.sum())
    return f"{pieces.cells.numel()} products add up to {total:.6g}; + bias {_signed(pieces.bias)} = {pieces.worked:.6g}"


def _signed(number: float) -> str:
    """A number that may stand behind a sign."""
    return f"{number:.6g}" if number >= 0 else f"({number:.6g})"


def _norm(one: Kept, unit: int, index: Callable[[Tensor], tuple[int, ...]]) -> tuple[str, float]:
    given = one.given
    x = next(given[name] for name in ("input", "self") if isinstance(given.get(name), Tensor))
    before = float(x[index(x)])
    mean, variance = float(given["running_mean"][unit]), float(given["running_var"][unit])
    weight, bias = (None if given.get(n) is None else float(given[n][unit]) for n in ("weight", "bias"))
    eps = float(given.get("eps", given.get("epsilon", 1e-5)))
    worked = (before - mean) / math.sqrt(variance + eps) * (1.0 if weight is None else weight) + (bias or 0.0)
    scale = "" if weight is None else f" * {_signed(weight)}"
    shift = "" if bias is None else f" + {_signed(bias)}"
    formula = f"({before:.6g} - {_signed(mean)}) / sqrt({variance:.6g} + {eps:.0e}){scale}{shift} = {worked:.6g}"
    return formula, worked
