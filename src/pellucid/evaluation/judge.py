"""`pellucid.evaluate`: from attributions to scores, beside controls that know nothing of the network.

In one file, since cases, blocks and scores are used here alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pellucid import arguments, held
from pellucid.capture.meter import ProgressMeter
from pellucid.capture.probe import Probe
from pellucid.capture.running import Budget, Draws, conduct, guarded, network_seed, with_rows
from pellucid.contracts import (
    STILL,
    TRUTH,
    Attribution,
    Cost,
    Evaluation,
    Map,
    Maps,
    Metric,
    MetricResult,
    Noise,
    Provenance,
    Score,
)
from pellucid.engine.foreign import package_named
from pellucid.errors import BadOption, BadSite, Cancelled, Refused
from pellucid.evaluation.asking import BatchedQueries, Reattributor, always_alike
from pellucid.evaluation.bootstrap import mean_and_interval
from pellucid.evaluation.company import Company
from pellucid.evaluation.controls import CONTROLS, WRONG_TARGET
from pellucid.pictures import NamedPictures
from pellucid.registry import fill_options, find_metric
from pellucid.targets import is_probability

_BLOCK_BYTES = 2**28
"""Pictures times maps at once: metrics may hold a few copies of all of them."""


def evaluate(
    explained: Attribution | Iterable[Attribution],
    metrics: str | Sequence[str],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    *,
    maps: Mapping[str, Tensor] | None = None,
    controls: bool = True,
    masks: Tensor | None = None,
    boxes: Sequence[Tensor] | None = None,
    chunk: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Evaluation:
    """Judge how far maps can be trusted. The model is left exactly as it was.

    All maps of the same pictures and target, and the controls, are judged together: a metric's questions about them go
    through the network in common batches, and those that do not depend on the map are asked once.

    Args:
        explained: an `Explanation`, an `Attribution`, or several; each is judged for its own target.
        metrics: ids, see `pellucid.metrics()`.
        options: keyword options by metric id.
        seed: integer of any size that starts all random draws, the random control and the bootstrap.
        maps: further maps of the same pictures by name, float `[batch, row, column]` at the model's input.
        controls: True if a random map, a hill in the centre and an edge detector are judged as well.
        masks: places of the thing for metrics of localisation, bool `[batch, row, column]` at the model's input.
        boxes: the same as boxes: for each picture `[box, 4]`, left, top, right, bottom in pixels of the model's input.
        chunk: samples at once; None decides by the memory that is free. Never changes a result beyond rounding.
        progress: function that is called now and then with (metric id, samples done, samples in all).
        cancel: asked now and then; True stops with `Cancelled`, which carries the `Evaluation` so far.

    Returns:
        An `Evaluation`: `[subject, metric]` is a `Score` with one number per picture, their mean and its interval.

    Raises:
        UnknownName: there is no such metric.
        BadOption: an option that does not fit, maps or truths of another shape, or an attribution made by hand.
        Refused: a single score was asked for, and the metric has none for this model.
        Cancelled: stopped by the caller or by Ctrl-C.
    """
    start = time.perf_counter()
    given = arguments.method_options(options)
    for name in given:
        find_metric(name)
    names = dict.fromkeys(arguments.metric_names(metrics))
    plan = [(metric := find_metric(name), fill_options(metric, given.get(name, {}))) for name in names]
    seed = arguments.whole_number(seed, "seed", "an integer")
    if chunk is not None:
        chunk = arguments.whole_number(chunk, "chunk", "a positive number of samples", least=1)
    arguments.function(progress, "progress")
    arguments.function(cancel, "cancel")
    cases = _cases(explained, maps or {}, controls=controls, truth={"mask": masks, "boxes": boxes})
    for metric, _ in plan:
        for case in cases:
            case.check(metric)
    alone = len(plan) == len(cases) == 1 and len(cases[0].subjects) == 1
    scores: list[Score] = []
    refused: dict[tuple[str, str], str] = {}
    try:
        for metric, filled in plan:
            companies = _companies(metric, cases)
            for case, company in zip(cases, companies, strict=True):
                judge = _Judge(metric, filled, seed, chunk, ProgressMeter(progress, cancel, label=metric.id), company)
                with guarded(case.attributions[0].model.module), network_seed(case.attributions[0].seed):
                    found, why = judge.all(case)
                scores += found
                refused |= {(name, metric.id): str(error) for name, error in why.items()}
                if alone and why:
                    raise next(iter(why.values()))
    except KeyboardInterrupt as stop:
        done = Evaluation(tuple(scores), refused, seed, time.perf_counter() - start)
        count = len(plan) * sum(len(case.subjects) for case in cases)
        raise Cancelled(str(stop) or f"Interrupted; {len(done)} of {count} scores are finished.", done) from stop
    return Evaluation(tuple(scores), refused, seed, time.perf_counter() - start)


@dataclass(frozen=True, eq=False)
class _Subject:
    """A map that is judged; a control may be one of a single attribution, its `owner`, only."""

    name: str
    values: Map
    maker: Attribution | Callable[[Maps, Noise], Map] | None = None
    control: bool = False
    owner: Attribution | None = None


@dataclass(frozen=True, eq=False)
class _Case:
    """Maps of the same pictures for the same target, and what is known about the pictures."""

    attributions: Sequence[Attribution]
    question: Provenance
    subjects: Sequence[_Subject]
    controls: bool
    truth: Mapping[str, Any] = field(default_factory=dict)
    wrong: dict[int, _Subject | None] = field(default_factory=dict)  # controls made so far, by the owner's number

    def check(self, metric: Metric) -> None:
        """Refuse a metric that lacks what it compares with."""
        missing = [name for name in sorted(TRUTH & metric.needs) if self.truth[name] is None]
        if missing:
            plural = {"mask": "masks", "boxes": "boxes"}[missing[0]]
            raise BadOption(f"{metric.id} compares with where the thing is: give {plural}=... to evaluate.")


def _cases(explained: Any, maps: Mapping[str, Tensor], *, controls: bool, truth: Mapping[str, Any]) -> list[_Case]:
    """The attributions by pictures and target."""
    attributions = [explained] if isinstance(explained, Attribution) else list(explained)
    groups: dict[tuple[int, int], list[tuple[Attribution, Provenance]]] = {}
    for each in attributions:
        if not isinstance(each, Attribution) or each.question is None:
            raise BadOption(f"Expected attributions as pellucid.explain gives them, got {each!r}.")
        groups.setdefault((id(each.question.image), id(each.question.target)), []).append((each, each.question))
    if not groups:
        raise BadOption("Expected at least one attribution to judge, got none.")
    if len(groups) > 1 and (maps or any(value is not None for value in truth.values())):
        raise BadOption("Maps, masks and boxes belong to one target of one call of explain; judge each alone.")
    cases = []
    for group in groups.values():
        question = group[0][1]
        subjects = [_Subject(a.method.id, a.values, a) for a, _ in group]
        subjects += [_Subject(name, _checked_map(name, values, question)) for name, values in maps.items()]
        cases.append(
            _Case([a for a, _ in group], question, subjects, controls, {**truth, **_checked_truth(truth, question)})
        )
    return cases


def _companies(metric: Metric, cases: Sequence[_Case]) -> list[Company | None]:
    """For each case, what it shares with those of the same pictures; None where there is nothing to share."""
    if "probe" not in metric.needs or "explain" in metric.needs:
        return [None] * len(cases)
    alike: dict[tuple[int, int, int], list[_Case]] = {}
    keys = [(id(c.question.image), id(c.attributions[0].model), c.attributions[0].seed) for c in cases]
    for key, case in zip(keys, cases, strict=True):
        if case.controls:
            alike.setdefault(key, []).append(case)
    made = {key: Company([case.question.target for case in some]) for key, some in alike.items() if len(some) > 1}
    return [made.get(key) for key in keys]


def _checked_map(name: str, values: Any, question: Provenance) -> Map:
    shape = (len(question.image), *question.image.shape[2:])
    if not isinstance(values, Tensor) or not values.is_floating_point() or values.shape != shape:
        got = f"{list(values.shape)} of {values.dtype}" if isinstance(values, Tensor) else type(values).__name__
        raise BadOption(f"Expected a float tensor {list(shape)} as the map {name!r}, got {got}.")
    if not bool(values.isfinite().all()):
        raise BadOption(f"Expected finite numbers in the map {name!r}, got NaN or infinity.")
    return values.detach().to(question.image.device)


def _checked_truth(truth: Mapping[str, Any], question: Provenance) -> dict[str, Any]:
    mask, boxes, image = truth["mask"], truth["boxes"], question.image
    found: dict[str, Any] = {}
    if mask is not None:
        shape = (len(image), *image.shape[2:])
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != shape:
            got = f"{list(mask.shape)} of {mask.dtype}" if isinstance(mask, Tensor) else type(mask).__name__
            raise BadOption(f"Expected a bool tensor {list(shape)} as masks, got {got}.")
        found["mask"] = mask.to(image.device)
    if boxes is not None:
        rows, numbers = list(boxes), 2 * (image.ndim - 2)
        if len(rows) != len(image) or not all(isinstance(b, Tensor) and b.shape[1:] == (numbers,) for b in rows):
            raise BadOption(f"Expected a tensor [box, {numbers}] for each of {len(image)} pictures as boxes.")
        found["boxes"] = [row.to(image.device) for row in rows]
    return found


@dataclass
class _Judge:
    """One metric with its options at work on one case. Must run inside `guarded`."""

    metric: Metric
    options: Mapping[str, Any]
    seed: int
    chunk: int | None
    meter: ProgressMeter
    company: Company | None = None

    def all(self, case: _Case) -> tuple[list[Score], dict[str, Refused | BadSite]]:
        """The scores of a case's subjects, and why some have none."""
        refused: dict[str, Refused | BadSite] = {}
        if conduct(case.attributions[0].model, case.question.image).alone:
            self.company = None
        subjects = list(case.subjects)
        if "explain" in self.metric.needs:
            for each in [s for s in subjects if s.maker is None]:
                refused[each.name] = Refused(
                    f"{self.metric.id} makes the map anew, but {each.name!r} was given as numbers: nothing makes it."
                )
            subjects = [s for s in subjects if s.maker is not None]
        if not subjects:
            return [], refused
        try:
            return self._together(case, subjects), refused
        except (Refused, BadSite) as error:
            if len(subjects) == 1:
                return [], {**refused, subjects[0].name: error}
        scores = []
        for each in subjects:  # one of them has no answer; the others shall have theirs
            try:
                scores += self._together(case, [each])
            except (Refused, BadSite) as error:
                refused[each.name] = error
        return scores, refused

    def _together(self, case: _Case, subjects: Sequence[_Subject]) -> list[Score]:
        """Judge maps and controls as one batch, a block of pictures after the other.

        With further targets in company, maps that are the same for all of them are a batch of their own, whose passes
        all share.
        """
        start = time.perf_counter()
        image = case.question.image
        everyone = [*subjects, *(self._controls(case, subjects) if case.controls else ())]
        common = [each for each in everyone if each.control and each.owner is None] if self.company else []
        groups = [group for group in ([each for each in everyone if each not in common], common) if group]
        rows = max(1, _BLOCK_BYTES // (image[0].nbytes * len(everyone)))
        parts = [
            torch.arange(first, min(first + rows, len(image)), device=image.device)
            for first in range(0, len(image), rows)
        ]
        blocks = [
            [self._block(case, group, pictures, common=group is common) for pictures in parts] for group in groups
        ]
        seconds = (time.perf_counter() - start) / len(everyone)
        scored = {
            each: self._score(case, each, number, own, blocks, seconds)
            for group, own in zip(groups, blocks, strict=True)
            for number, each in enumerate(group)
        }
        pairs = [(scored[each], each) for each in everyone]
        return [
            replace(score, controls={s.subject: s for s, c in pairs if c.control and c.owner in (None, each.maker)})
            for score, each in pairs
            if not each.control
        ]

    def _controls(self, case: _Case, subjects: Sequence[_Subject]) -> Iterator[_Subject]:
        for name, make in CONTROLS.items():
            yield _Subject(name, make(case.question.image, Draws(self.seed)), make, control=True)
        if "explain" not in self.metric.needs:  # what makes maps anew cannot take a map as it is
            for each in subjects:
                if isinstance(each.maker, Attribution) and each.maker.method.optimised:
                    yield from filter(None, [self._wrong_target(case, each.maker)])

    def _wrong_target(self, case: _Case, owner: Attribution) -> _Subject | None:
        """The same method's map for another class, judged for the right one; None where there is no other class."""
        if id(owner) not in case.wrong:
            image = case.question.image
            everything = torch.arange(len(image), device=image.device)
            remaker = Reattributor(
                owner.model, image, everything, [owner], self.seed, Budget(image.device, self.chunk), self.meter
            )
            try:
                values = remaker.of_another_class(Draws(self.seed))
                case.wrong[id(owner)] = _Subject(WRONG_TARGET, values, control=True, owner=owner)
            except Refused:
                case.wrong[id(owner)] = None
        return case.wrong[id(owner)]

    def _block(self, case: _Case, subjects: Sequence[_Subject], pictures: Tensor, *, common: bool) -> _Block:
        """Some maps of some pictures; `common` ones are the same for all targets in company."""
        question, maps = case.question, len(subjects)
        image, model = question.image[pictures], with_rows(case.attributions[0].model, pictures)
        budget = Budget(image.device, self.chunk)
        frames = tuple(question.frames[k] for k in pictures.tolist())
        company = self.company or Company([question.target])
        number = next(k for k, target in enumerate(company.targets) if target is question.target)
        named = NamedPictures(model, frames)
        plain, sure = (
            Probe(
                model, image, shared.targets[number], None, budget, self.meter,
                named=named, together=shared if self.company else None,
            )
            for shared in company.of(pictures, model)
        )  # fmt: skip
        asker = BatchedQueries(plain, sure, maps, certain=is_probability(sure.target), common=common)
        makers = [each.maker for each in subjects if each.maker is not None]
        remaker = Reattributor(model, image, pictures, makers, self.seed, budget, self.meter)
        available = {
            "values": torch.cat([each.values[pictures] for each in subjects]),
            "image": image.repeat(maps, *(1,) * (image.ndim - 1)),
            "frames": [*frames] * maps,
            "probe": asker,
            "explain": remaker,
            "rng": Draws(self.seed),
            "mask": None
            if case.truth["mask"] is None
            else case.truth["mask"][pictures].repeat(maps, *(1,) * (image.ndim - 2)),
            "boxes": case.truth["boxes"] and [case.truth["boxes"][k] for k in pictures.tolist()] * maps,
        }
        options = held.plain(held.of_pictures(self.options, pictures.repeat(maps), image.ndim - 2))
        with package_named(self.metric):
            found = self.metric.function(**{name: available[name] for name in self.metric.needs}, **options)
        judgement = found if isinstance(found, MetricResult) else MetricResult(found)
        return _Block(judgement, maps, asker, remaker)

    def _score(
        self,
        case: _Case,
        subject: _Subject,
        number: int,
        blocks: Sequence[_Block],
        everyones: Sequence[Sequence[_Block]],
        seconds: float,
    ) -> Score:
        """The score of map number `number` of `blocks`; what is noted is of everyone's."""
        values = torch.cat([block.of(number, block.judgement.values) for block in blocks]).double().cpu()
        still = torch.cat([always_alike([block.asker for block in same]) for same in zip(*everyones, strict=True)])
        values = torch.where(still, torch.nan, values)
        mean, interval = mean_and_interval(values, self.seed)
        names, unknown = blocks[0].judgement.extras, int((~values.isfinite()).sum())
        said = [block for each in everyones for block in each]
        notes = dict.fromkeys(note for block in said for note in (*block.judgement.notes, *block.asker.notes))
        if bool(still.any()):
            where = "" if bool(still.all()) else f" in {int(still.sum())} of {len(still)} pictures"
            notes = {STILL.format(where): None, **notes}
        left_out = (f"No answer for {unknown} of {len(values)} pictures; they are left out.",) if unknown else ()
        costs = [block.cost(number) for block in blocks]
        first = case.attributions[0]
        of_network = conduct(first.model, case.question.image).note(first.model.name, first.seed)
        return Score(
            metric=self.metric,
            subject=subject.name,
            attribution=subject.maker if isinstance(subject.maker, Attribution) else None,
            target=case.attributions[0].target,
            values=torch.where(values.isfinite(), values, torch.nan),
            mean=mean,
            interval=interval,
            extras={n: torch.cat([b.of(number, b.judgement.extras[n]) for b in blocks]).cpu() for n in names},
            axis=blocks[0].judgement.axis,
            options=dict(self.options),
            seed=self.seed,
            cost=Cost(seconds, sum(c[0] for c in costs), sum(c[1] for c in costs)),
            notes=(*notes, *left_out, *of_network),
            asked="score" if any(block.asker.unsure for block in blocks) else "probability",
        )


@dataclass(frozen=True, eq=False)
class _Block:
    """What a metric said about all maps of some pictures."""

    judgement: MetricResult
    maps: int
    asker: BatchedQueries
    remaker: Reattributor

    def of(self, number: int, tensor: Tensor) -> Tensor:
        """One map's share of a tensor `[map and picture, ...]`; a copy."""
        return tensor.detach().chunk(self.maps)[number].clone()

    def cost(self, number: int) -> tuple[int, int]:
        """Forward and backward passes that one map's numbers rest on."""
        forward, backward = self.remaker.costs.get(number, (0, 0))
        return forward + self.asker.shared + self.asker.own, backward
