"""Several explained inputs: methods whose values share a budget are asked once, all others once for each input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import groupby
from operator import add

import torch
from torch import Tensor

from pellucid.contracts import Attribution, InputMap, InputPart, Map, Maps, Model, Share, cut
from pellucid.engine.batch import Batch
from pellucid.engine.layers import ChosenLayers
from pellucid.engine.plan import Plan
from pellucid.engine.run import RunResult, run
from pellucid.errors import BadSite, Refused


@dataclass(frozen=True, eq=False)
class InputRun:
    """What is done with some of the inputs.

    Attributes:
        plan: its methods leave out what they cannot do.
        batch: one input, with the others held, or all as one.
        parts: the inputs.
    """

    plan: Plan
    batch: Batch
    parts: tuple[InputPart, ...]

    @property
    def name(self) -> str:
        """Of its input; "" of all together."""
        return self.parts[0].name if len(self.parts) == 1 else ""


@dataclass(frozen=True, eq=False)
class SeveralInputs:
    """What is done with all inputs.

    Attributes:
        whole: the plan as a user sees it: all methods, and the layers of the first input.
        runs: of all inputs together and of each alone, those without methods left out.
        first: the model that takes the first input, with the others held.
        strict: whether a method that has no map of any input ends the work.
    """

    whole: Plan
    runs: tuple[InputRun, ...]
    first: Model
    strict: bool


@dataclass(eq=False)
class _Found:
    """What the runs have brought so far: maps by target, method and round of layers, then by input."""

    maps: dict[tuple[int, str, int], dict[str, Attribution]] = field(default_factory=dict)
    refused: dict[str, dict[str, str]] = field(default_factory=dict)


def run_several(several: SeveralInputs, found: RunResult) -> Iterator[Attribution]:
    """Make the maps of all inputs. Must run inside `guarded`.

    Args:
        several: what to do.
        found: takes in what is found out on the way, as soon as it is.

    Yields:
        The maps in the order in which they are made; `found.done` has them in the order of `run`, with what was found
        of one input after the other put together.

    Raises:
        Refused: a method that has no map of any input, where the work is strict.
        Cancelled, KeyboardInterrupt: stopped.
    """
    known = _Found()
    for one in several.runs:
        mine = RunResult()
        try:
            for made in _run(one, mine):
                _sort(mine.done, one, known)
                found.done[:] = _ordered(several, known)
                yield made
        finally:
            found.reading, found.conduct = mine.reading, mine.conduct
        for method, why in {**one.plan.refused, **mine.refused}.items():
            known.refused.setdefault(method, {})[one.name] = why
        found.done[:] = _ordered(several, known)
    have = {method for _, method, _ in known.maps}
    found.refused.update({m: _nothing_of(m, why) for m, why in known.refused.items() if m not in have})
    if several.strict and found.refused:
        raise Refused(next(iter(found.refused.values())))


def _run(one: InputRun, mine: RunResult) -> Iterator[Attribution]:
    """The maps of a run. Where a named layer does not hold places of the input, methods that look there are refused."""
    try:
        yield from run(one.plan, one.batch, mine)
    except BadSite as error:
        others = tuple(step for step in one.plan.methods if not step.at_site)
        mine.refused.update({step.method.id: str(error) for step in one.plan.methods if step.at_site})
        if len(others) < len(one.plan.methods):
            yield from run(replace(one.plan, methods=others, layers=ChosenLayers()), one.batch, mine)


def _nothing_of(method: str, why: Mapping[str, str]) -> str:
    """Why there is no map at all."""
    if len(set(why.values())) == 1:
        return next(iter(why.values()))
    return f"{method} has no map of any input. " + " ".join(f"Of {name}: {reason}" for name, reason in why.items())


def _sort(done: Sequence[Attribution], one: InputRun, known: _Found) -> None:
    """Take in the maps of a run, target by target."""
    targets = groupby(done, key=lambda each: id(each.question.target) if each.question else 0)
    for k, (_, maps) in enumerate(targets):
        rounds: dict[str, int] = {}
        for each in maps:
            number = rounds[each.method.id] = rounds.get(each.method.id, -1) + 1
            known.maps.setdefault((k, each.method.id, number), {})[one.name] = each


def _ordered(several: SeveralInputs, known: _Found) -> list[Attribution]:
    """All maps: of each target all methods at the first layer, then at the next."""
    methods = [step.method.id for step in several.whole.methods]
    keys = sorted(known.maps, key=lambda key: (key[0], key[2], methods.index(key[1])))
    parts = {part.name: part for one in several.runs for part in one.parts}
    return [_attribution(several, parts, known.maps[key], known.refused.get(key[1], {})) for key in keys]


def _attribution(
    several: SeveralInputs, parts: Mapping[str, InputPart], maps: Mapping[str, Attribution], missing: Mapping[str, str]
) -> Attribution:
    if "" in maps:
        return replace(of_all(maps[""], tuple(parts.values())), model=several.first, question=None)
    first = next(iter(maps.values()))
    inputs = {name: InputMap(name, each.values, each.raw, None, parts[name].axes) for name, each in maps.items()}
    notes = [*first.notes]
    notes += [f"Of {name}: {note}" for name, each in maps.items() for note in each.notes if note not in notes]
    notes += [f"There is no map of {name}: {why}" for name, why in missing.items()]
    cost = reduce(add, [each.cost for each in maps.values()])
    return replace(first, inputs=inputs, notes=tuple(notes), cost=cost, question=None)


def of_all(whole: Attribution, parts: Sequence[InputPart]) -> Attribution:
    """The map of several inputs as one, `contracts.joined`, as the maps of each; of one input that with its share.

    Its budget is what its values add up to: where they are those of regions, each region counts once.
    """
    labels = whole.extras.get("regions")
    pieces = cut(whole.raw, parts)
    marks = [None] * len(parts) if labels is None else cut(labels, parts)
    maps = [_map(piece, mark, whole, alone=len(parts) == 1) for piece, mark in zip(pieces, marks, strict=True)]
    shares = _shares([_values(piece, mark, whole) for piece, mark in zip(pieces, marks, strict=True)])
    step = whole.question.step if whole.question else None
    counts = step is not None and step.joint and whole.options.get("multiply_by_inputs", True)  # else a mere slope
    inputs = {
        part.name: InputMap(part.name, values, raw, share if counts else None, part.axes)
        for part, (values, raw), share in zip(parts, maps, shares, strict=True)
    }
    first = inputs[parts[0].name]
    if len(parts) == 1:
        return replace(whole, inputs=inputs)
    extras = {**whole.extras, "regions": _places(marks[0])} if marks[0] is not None else whole.extras
    return replace(whole, values=first.values, raw=first.raw, inputs=inputs, extras=extras)


def _map(piece: Maps, labels: Tensor | None, whole: Attribution, *, alone: bool) -> tuple[Map, Tensor]:
    """The values and the raw map of one input."""
    if alone:
        return whole.values, whole.raw
    if labels is not None and _places(labels).ndim < labels.ndim:  # regions are places: in all channels alike
        piece = piece[:, 0].clone()
        return piece, piece
    return piece.sum(1), piece.clone()


def _places(labels: Tensor) -> Tensor:
    """Labels `[batch, channel, *axes]` without channels, where these are alike."""
    return labels[:, 0].clone() if bool((labels == labels[:, :1]).all()) else labels.clone()


def _values(piece: Tensor, labels: Tensor | None, whole: Attribution) -> Tensor:
    """What an input's evidence adds up from, `[batch, number]`."""
    if labels is None:
        return piece.flatten(1).double()
    first, last = int(labels.min()), int(labels.max())
    return whole.extras["values of regions"][:, first : last + 1].flatten(1).double()


def _shares(values: Sequence[Tensor]) -> list[Share]:
    """Of numbers `[batch, number]` of each input."""
    signed = torch.stack([each.sum(1) for each in values])
    absolute = torch.stack([each.abs().sum(1) for each in values])
    whole, most = signed.sum(0), absolute.sum(0)
    rounding = torch.finfo(torch.float32).eps * most
    signed = torch.where(whole.abs() <= rounding, torch.nan, signed / whole)
    return [Share(one, other) for one, other in zip(signed, absolute / most, strict=True)]
