"""What a saved result holds, in lines that are the same for every kind: which number, of what, from where to where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import singledispatch
from typing import Any

import torch

from pellucid.comparison import Comparison
from pellucid.contracts import Model
from pellucid.explanation import Explanation
from pellucid.feature_visualisation import Visualisation
from pellucid.inspection import Dissection, Inspection, TopPictures
from pellucid.localisation import Localisation
from pellucid.report.views import picture_views
from pellucid.storage.provenance import input_record, named_inputs


@dataclass(frozen=True)
class Line:
    """One thing in a result.

    Attributes:
        what: method, method and metric, unit, or objective.
        target: what was explained or looked for; "" where there is no such thing.
        layer: where; "" where it is of no layer.
        input: name of the input; "" where it is of all, or of none.
        least, largest: ends of its numbers; None where none is finite.
    """

    what: str
    target: str = ""
    layer: str = ""
    input: str = ""
    least: float | None = None
    largest: float | None = None

    @property
    def known(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Holdings:
    """What a result is of, and what it holds.

    Attributes:
        model: the network.
        inputs: what it was given, as documents have it.
        lines: what it holds.
    """

    model: Model | None
    inputs: tuple[Mapping[str, Any], ...]
    lines: tuple[Line, ...]


@singledispatch
def contents(result: object) -> Holdings:
    """What is in a result; nothing is known of values that are none."""
    return Holdings(getattr(result, "model", None), (), ())


@contents.register
def _(result: Explanation) -> Holdings:
    views = picture_views(result)
    inputs = tuple(input_record(view.input, view.name) for view in views)
    return _of(result.model, inputs, (
        line_of(each.attribution.method.id, each.values, each.target, each.attribution.site, view.name)
        for view in views for each in view.findings
    ))  # fmt: skip


@contents.register
def _(result: Localisation) -> Holdings:
    first, explanation = result.attribution, contents(result.explanation)
    return _of(explanation.model, explanation.inputs, (
        line_of(first.method.id, each.values, each.target, first.site, each.name)
        for every in result.pictures for each in every
    ))  # fmt: skip


@contents.register
def _(result: Comparison) -> Holdings:
    inputs = [input_record(each.picture, each.name, each.source or None) for each in result.pictures]
    return _of(result.model, inputs, (
        line_of(f"{score.subject} by {score.metric.id}", score.values, layer=result.layer) for score in result
    ))  # fmt: skip


@contents.register
def _(result: Inspection) -> Holdings:
    inputs = [input_record(result.picture)] if result.picture else []
    kernels = [line_of("kernels", bank.weights, layer=bank.path) for bank in result.filters]
    maps = [line_of("activations", each.maps, layer=each.site) for each in result.activations]
    return _of(result.model, inputs, [*kernels, *maps])


@contents.register
def _(result: Dissection) -> Holdings:
    return _of(result.model, named_inputs(result.pictures), (
        line_of("overlap", result.iou[:, k], concept, result.site) for k, concept in enumerate(result.concepts)
    ))  # fmt: skip


@contents.register
def _(result: TopPictures) -> Holdings:
    return _of(result.model, named_inputs(result.seen), (
        line_of(f"unit {unit}", [hit.value for hit in result.units[unit]], layer=result.site)
        for unit in result.strongest(len(result.units))
    ))  # fmt: skip


@contents.register
def _(result: Visualisation) -> Holdings:
    titles = result.titles or [""] * len(result.final)
    return _of(result.model, (), (
        line_of("objective reached", value, title or result.objective)
        for title, value in zip(titles, result.final.tolist(), strict=True)
    ))  # fmt: skip


def _of(model: Model | None, inputs: Iterable[Mapping[str, Any]], lines: Iterable[Line]) -> Holdings:
    return Holdings(model, tuple(inputs), tuple(lines))


def line_of(what: str, numbers: Any, target: str = "", layer: object = None, name: str = "") -> Line:
    """A line with the ends of these numbers."""
    values = torch.as_tensor(numbers, dtype=torch.float64)
    finite = values[values.isfinite()]
    ends = (float(finite.min()), float(finite.max())) if finite.numel() else (None, None)
    return Line(what, target, "" if layer is None else str(layer), name, *ends)
