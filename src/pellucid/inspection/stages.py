"""The steps that one value goes through, each worked out again in float64 with the numbers in its formula."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.capture.operators import computed_by, op
from pellucid.capture.tracing import (
    KeptStep,
    ModuleCall,
    Pieces,
    Trace,
    TracedStep,
    Value,
    apply_alone,
    take_apart,
    take_pools_apart,
)
from pellucid.errors import BadSite

DENSE = ("mm", "addmm")
_SOFTMAX = (op.SOFTMAX, op.LOG_SOFTMAX)
_VIEWS = (op.VIEW, op.SQUEEZE)
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_RELU6 = (0, 6)
_NEAR = 1e-4


@dataclass(frozen=True)
class ValueStage:
    """One operation on the single value.

    Attributes:
        name: of the operation, such as `batch_norm`.
        path: the module that it belongs to.
        formula: with the numbers in it.
        worked: what the formula gives in float64.
        value: what the network has.
        inside: True if it belongs to the layer itself, rather than to what follows.
    """

    name: str
    path: str
    formula: str
    worked: float
    value: float
    inside: bool = True


@dataclass(frozen=True)
class ValuePlace:
    """Where one value stands in a layer's output.

    Attributes:
        unit: channel or feature.
        at: position on the grid.
        grid: lengths of the grid.
        last: True if features stand last.
    """

    unit: int
    at: tuple[int, ...]
    grid: tuple[int, ...]
    last: bool

    @property
    def row(self) -> int:
        """Of a matrix that holds all positions as rows."""
        return int(np.ravel_multi_index(self.at, self.grid)) if self.at else 0

    def on(self, tensor: Tensor) -> tuple[int, ...]:
        """Position on a tensor's grid, which may have an axis of length 1 in front, as pooling along one axis has."""
        more = tensor.ndim - 2 - len(self.at)
        return (0, *self.at) if more == 1 and tensor.shape[2] == 1 and not self.last else self.at

    def index(self, tensor: Tensor) -> tuple[int, ...]:
        """Of the value in a tensor, batch axis included."""
        if tensor.ndim == 2:
            return (self.row, self.unit)
        return (0, *self.at, self.unit) if self.last else (0, self.unit, *self.on(tensor))


def name_of(step: TracedStep) -> str:
    """As torch calls the operation, without its name space."""
    return step.operation.removeprefix("aten::")


def is_view(step: TracedStep) -> bool:
    """Whether a step hands on the same values in the same order."""
    return computed_by(name_of(step)) in _VIEWS or name_of(step) == "alias"


def is_followed(step: TracedStep, shape: tuple[int, ...]) -> bool:
    """Whether a step on values of this shape can be worked out for one of them."""
    if step.outputs[0] != shape:
        return False
    if computed_by(name_of(step)) is op.BATCH_NORM:
        return not step.arguments.get("training") and isinstance(step.arguments.get("running_mean"), Value)
    return computed_by(name_of(step)) in _SOFTMAX or _is_elementwise(step)


def _is_elementwise(step: TracedStep) -> bool:
    packet = getattr(torch.ops.aten, name_of(step), None)
    overloads = packet.overloads() if packet is not None else ()
    return any(torch.Tag.pointwise in getattr(packet, overload).tags for overload in overloads)


def unchanged(call: ModuleCall, value: float) -> ValueStage:
    """Of a layer that returns what it is given, such as dropout outside of training."""
    return ValueStage("unchanged", call.path, f"{value:.6g} as it came", value, value)


def mixed(
    layer: nn.Module, path: str, x: Tensor, place: ValuePlace, value: float
) -> tuple[Pieces, tuple[ValueStage, ...]]:
    """The pieces of a layer that mixes several ways of pooling, and that sum worked out.

    Raises:
        BadSite: it does more with them than to mix them.
    """
    pieces = take_pools_apart(layer, x, place.unit, place.at)
    if pieces.value != value or abs(pieces.worked - value) > _NEAR * float(pieces.products.abs().sum()):
        raise BadSite(f"The layer '{path}' does more with its ways of pooling than to mix them.")
    return pieces, (ValueStage("pooling", path, _sum_formula(pieces), pieces.worked, value),)


def worked(
    found: Trace, chain: Sequence[TracedStep], kept: Mapping[int, KeptStep], call: ModuleCall, place: ValuePlace
) -> tuple[Pieces | None, tuple[ValueStage, ...]]:
    """The pieces of the first step's value, None where it is no sum or maximum, and all steps worked out.

    Raises:
        BadSite: a step that is not understood, or one that puts the value at another place.
    """
    main = kept[chain[0].number]
    at = (place.row,) if name_of(chain[0]) in DENSE else place.on(main.output)
    _read(main.output, place)
    pieces = take_apart(main, place.unit, at)
    stages: list[ValueStage] = []
    values: dict[int, float] = {}
    for step in chain:
        one, inside, path = kept[step.number], step.number in call.steps, found.calls[step.call].path
        value = values[step.number] = _read(one.output, place)
        _check_sources(step, one, place, values)
        if is_view(step):
            continue
        if step is chain[0] and pieces is not None:
            stages.append(ValueStage(name_of(step).rstrip("_"), path, _sum_formula(pieces), pieces.worked, value))
        elif computed_by(name_of(step)) is op.BATCH_NORM:
            formula, result = _norm(one, place)
            stages.append(ValueStage("batch_norm", path, formula, result, value, inside))
        elif computed_by(name_of(step)) in _SOFTMAX:
            formula, result = _softmax(one, place)
            stages.append(ValueStage(name_of(step).strip("_"), path, formula, result, value, inside))
        elif _is_elementwise(step) and len(one.output.shape) > 1:
            name, formula, result = _elementwise(step, one, place)
            stages.append(ValueStage(name, path, formula, result, value, inside))
        else:
            raise BadSite(f"The layer's operation {name_of(step)} is not one that can be taken apart into cells.")
    return pieces, tuple(stages)


def _read(tensor: Tensor, place: ValuePlace) -> float:
    try:
        return float(tensor[place.index(tensor)])
    except (IndexError, RuntimeError, TypeError, ValueError):
        raise BadSite("The layer puts its values at other places than its operations do.") from None


def _check_sources(step: TracedStep, one: KeptStep, place: ValuePlace, values: Mapping[int, float]) -> None:
    """Whether the values of earlier steps stand where this step takes them from."""
    for name, noted in step.arguments.items():
        tensor = one.given.get(name)
        if not isinstance(noted, Value) or not isinstance(tensor, Tensor):
            continue
        before = [values[number] for number, _ in noted.sources if number in values]
        if not before:
            continue
        here = values[step.number] if is_view(step) else _read(tensor.broadcast_to(one.output.shape), place)
        if here != before[-1] and not (math.isnan(here) and math.isnan(before[-1])):
            raise BadSite("The layer puts its values at other places than its operations do.")


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


def _norm(one: KeptStep, place: ValuePlace) -> tuple[str, float]:
    given, unit = one.given, place.unit
    x = next(given[name] for name in ("input", "self") if isinstance(given.get(name), Tensor))
    before = float(x[place.index(x)])
    mean, variance = float(given["running_mean"][unit]), float(given["running_var"][unit])
    weight, bias = (None if given.get(n) is None else float(given[n][unit]) for n in ("weight", "bias"))
    eps = float(given.get("eps", given.get("epsilon", 1e-5)))
    result = (before - mean) / math.sqrt(variance + eps) * (1.0 if weight is None else weight) + (bias or 0.0)
    scale = "" if weight is None else f" * {_signed(weight)}"
    shift = "" if bias is None else f" + {_signed(bias)}"
    formula = f"({before:.6g} - {_signed(mean)}) / sqrt({variance:.6g} + {eps:.0e}){scale}{shift} = {result:.6g}"
    return formula, result


def _softmax(one: KeptStep, place: ValuePlace) -> tuple[str, float]:
    x, axis = one.given["self"], one.given["dim"]
    index: list[Any] = list(place.index(x))
    before = float(x[tuple(index)])
    index[axis] = slice(None)
    row = x[tuple(index)].double()
    most = float(row.max())
    total = float((row - most).exp().sum())
    moved, count = f"{before:.6g} - {_signed(most)}", len(row)
    if "log" in one.func._schema.name:
        result = before - most - math.log(total)
        return f"{moved} - log({total:.6g}), the sum over {count} = {result:.6g}", result
    result = math.exp(before - most) / total
    return f"exp({moved}) / {total:.6g}, the sum over {count} = {result:.6g}", result


def _elementwise(step: TracedStep, one: KeptStep, place: ValuePlace) -> tuple[str, str, float]:
    """Name, formula and result of a step that makes each value of those at its place."""
    index = place.index(one.output)
    try:
        result = apply_alone(one, index)
    except (RuntimeError, TypeError, IndexError) as error:
        raise BadSite(f"The layer's operation {name_of(step)} cannot be worked out for one value: {error}") from error
    numbers = [
        float(given.broadcast_to(one.output.shape)[index]) if isinstance(given, Tensor) else float(given)
        for name, given in one.given.items()
        if isinstance(given, Tensor) or (isinstance(given, int | float) and name in ("self", "other", "exponent"))
    ]
    name = name_of(step).rstrip("_")
    depends = [a for a in step.arguments.values() if isinstance(a, Value) and a.sources]
    if name == "add" and len(depends) == 1:
        return "bias", f"{numbers[0]:.6g} + {_signed(result - numbers[0])} = {result:.6g}", result
    if name in _SIGNS and len(numbers) == 2 and one.given.get("alpha", 1) == 1 and not one.given.get("rounding_mode"):
        return name, f"{numbers[0]:.6g} {_SIGNS[name]} {_signed(numbers[1])} = {result:.6g}", result
    name = "relu6" if name in ("hardtanh", "clamp") and _bounds(one) == _RELU6 else name
    return name, f"{name}({', '.join(f'{number:.6g}' for number in numbers)}) = {result:.6g}", result


def _bounds(one: KeptStep) -> tuple[Any, Any]:
    low, high = (one.given.get(a, one.given.get(b)) for a, b in (("min_val", "min"), ("max_val", "max")))
    return (low, high) if all(isinstance(end, int | float) for end in (low, high)) else (None, None)
