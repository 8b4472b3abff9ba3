"""`pellucid.look`: one value inside a network, worked out in front of one's eyes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from pellucid.capture.receptive import ReceptiveField
from pellucid.capture.running import find_module, guarded
from pellucid.capture.tracing import ModuleCall, Pieces, Trace, TracedStep, trace
from pellucid.contracts import Model, Picture, Site
from pellucid.errors import BadOption, BadSite
from pellucid.inspection.fields import fields_of
from pellucid.inspection.inputs import read_input
from pellucid.inspection.stages import (
    DENSE,
    ValuePlace,
    ValueStage,
    is_followed,
    is_view,
    mixed,
    name_of,
    unchanged,
    worked,
)
from pellucid.models.wrap import wrap
from pellucid.results import Result

_FOLLOWED = 5
"""Steps behind the layer that are worked out too, at most."""


@dataclass(frozen=True, eq=False)
class Look(Result):
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
    stages: tuple[ValueStage, ...]
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
        found: Any = self._do("draw")
        return found

    def save(self, path: str | Path) -> Path:
        """Write `draw()` to a file.

        Raises:
            BadSite: as `draw()`.
            BadOption: the file cannot be written.
        """
        from pellucid.storage.atomic import writing

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
        chain = _chain(found, call)
        kept = trace(model, image, {step.number for step in chain}, call=call.number)
        own = kept.calls[call.number].value
        if own is None:
            raise BadSite(f"The layer '{site}' gives {call.output}, not one tensor. Choose one inside.")
        place = _place(site, tuple(own.shape), unit, at, last=_features_last(chain, own.ndim, image.ndim))
        value = float(own[place.index(own)])
        pieces: Pieces | None = None
        stages: tuple[ValueStage, ...] = (unchanged(call, value),)
        if _mixes_pools(found, call):
            pieces, stages = mixed(call.module, call.path, kept.kept[chain[0].number].given["self"], place, value)
        elif chain:
            pieces, stages = worked(found, chain, kept.kept, call, place)
        _check_value(call, stages, value)
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


def _chain(found: Trace, call: ModuleCall) -> list[TracedStep]:
    """The layer's main operation, its other steps as far as the value goes through them, and some behind the layer."""
    if not call.steps:
        return []
    if _mixes_pools(found, call):
        return _heavy(found, call)[:1]
    main = _main(found, call)
    inside = [main]
    for number in range(main.number + 1, call.steps.stop):
        step = found.steps[number]
        if not any(one.number in step.inputs for one in inside):
            continue
        if not (is_view(step) or is_followed(step, inside[-1].outputs[0])):
            break
        inside.append(step)
    ends = [place for place, step in enumerate(inside) if call.sources == ((step.number, 0),)]
    if not ends:
        raise BadSite(
            f"The layer '{call.path or 'the whole network'}' does more than one operation can explain: behind its "
            f"{name_of(main)} come others than steps on single values.{_hint(found, call)}"
        )
    inside = inside[: ends[0] + 1]
    return [*inside, *_behind(found, inside[-1], call)]


def _main(found: Trace, call: ModuleCall) -> TracedStep:
    """The one operation of the layer that makes values of several cells, or its first one."""
    steps = [found.steps[number] for number in call.steps]
    heavy = _heavy(found, call)
    if len(heavy) > 1:
        raise BadSite(
            f"The layer '{call.path or 'the whole network'}' does {len(steps)} operations, {len(heavy)} of them sums "
            f"over cells, so no single one explains its values.{_hint(found, call)}"
        )
    return heavy[0] if heavy else steps[0]


def _heavy(found: Trace, call: ModuleCall) -> list[TracedStep]:
    """The operations of a layer that make values of several cells."""
    steps = [found.steps[number] for number in call.steps]
    return [s for s in steps if s.multiply_adds or "pool" in name_of(s) or name_of(s) == "mean"]


def _mixes_pools(found: Trace, call: ModuleCall) -> bool:
    """Whether a layer pools what it is given in several ways."""
    heavy = _heavy(found, call)
    alike = len({step.inputs for step in heavy}) == 1 and all("pool" in name_of(step) for step in heavy)
    return len(heavy) > 1 and alike and heavy[0].number == call.steps.start


def _hint(found: Trace, call: ModuleCall) -> str:
    inside = [c.path for c in found.calls if c.parent == call.number][:6]
    return f" Choose one inside: {', '.join(map(repr, inside))}." if inside else ""


def _behind(found: Trace, step: TracedStep, call: ModuleCall) -> Iterator[TracedStep]:
    """Normalisation and activation behind the layer, while each is the only operation that uses the result."""
    for _ in range(_FOLLOWED):
        users = [s for s in found.steps[step.number + 1 :] if step.number in s.inputs]
        if len(users) != 1 or users[0].inputs != (step.number,) or users[0].number in call.steps:
            return
        if not is_followed(users[0], step.outputs[0]) or users[0].outputs[0] != step.outputs[0]:
            return
        step = users[0]
        yield step


def _features_last(chain: list[TracedStep], axes: int, input_axes: int) -> bool:
    """Whether features stand last in a layer's output: behind dense layers, and where tokens stand in rows."""
    if chain and name_of(chain[0]) in DENSE:
        return True
    grouped = bool(chain) and ("convolution" in name_of(chain[0]) or "pool" in name_of(chain[0]))
    return axes == 3 and input_axes == 4 and not grouped


def _place(site: Site, shape: tuple[int, ...], unit: int, at: tuple[int, ...], *, last: bool) -> ValuePlace:
    """Channels first `[1, unit, *grid]`, or tokens with their features last."""
    if len(shape) < 2:
        raise BadSite(f"The layer '{site}' gives one value per sample, without units.")
    units, grid = (shape[-1], shape[1:-1]) if last else (shape[1], shape[2:])
    if not 0 <= unit < units:
        raise BadOption(f"The layer '{site}' has the units 0 to {units - 1}; got {unit}.")
    if len(at) != len(grid) or any(not 0 <= place < n for place, n in zip(at, grid, strict=True)):
        raise BadOption(_misplaced(site, grid, at))
    return ValuePlace(unit, at, grid, last)


def _misplaced(site: Site, grid: tuple[int, ...], at: tuple[int, ...]) -> str:
    """What is wrong with a position, and what to say instead."""
    got = ",".join(map(str, at))
    if not grid:
        return f"The layer '{site}' has no positions, so none can be named; got {got}. Leave --at out (in Python, at)."
    wanted, last = " x ".join(map(str, grid)), ",".join(str(n - 1) for n in grid)
    said = f"got the position {got}" if at else "no position was named"
    zeros = ",".join("0" for _ in grid)
    return f"The grid of '{site}' is {wanted}; {said}. Name one from {zeros} to {last}: --at {zeros} (in Python, at)."


def _check_value(call: ModuleCall, stages: tuple[ValueStage, ...], value: float) -> None:
    """Refuse if what was worked out is not what the layer has."""
    inside = [stage.value for stage in stages if stage.inside]
    if not inside:
        raise BadSite(f"The layer '{call.path}' only moves values to other places. Look at the layer before it.")
    if inside[-1] != value and not (math.isnan(value) and math.isnan(inside[-1])):
        raise BadSite(
            f"The layer '{call.path}' puts its values at other places than its operations do. Look at a layer inside."
        )
