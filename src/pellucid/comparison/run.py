"""`pellucid.compare`: picture by picture, all methods in one explanation and all maps in one evaluation.

In one file, since the plan, the sources and the judge of a comparison are used here alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pellucid import arguments
from pellucid.api import explain
from pellucid.comparison import records
from pellucid.comparison.comparison import Compared, Comparison, NotCompared
from pellucid.contracts import Model, Picture, Site
from pellucid.engine.planned import PlannedMethod, planned_methods
from pellucid.errors import BadOption, Cancelled, Refused, unknown
from pellucid.evaluation import Evaluation, Metric, evaluate
from pellucid.evaluation.trust import SANITY
from pellucid.explanation import Explanation
from pellucid.jobs import Failure, Outcome, Store, content_of, over, question
from pellucid.models.preprocessing import preprocessing_of
from pellucid.models.wrap import wrap
from pellucid.pictures import find_pictures, prepare
from pellucid.plugins import identity_of
from pellucid.registry import default_methods, fill_options, find_metric
from pellucid.targets import TargetLike, Top, parse_targets

DEFAULT_METRICS = ("deletion", "insertion")
SHOWN = 3
"""Pictures whose maps are kept, to be shown, and made again with random weights; of the others only the scores are."""


def compare(
    model: Model | nn.Module,
    pictures: Any,
    methods: str | Sequence[str] | None = None,
    metrics: str | Sequence[str] = DEFAULT_METRICS,
    target: TargetLike = None,
    layer: str | Site | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    *,
    sanity: bool = True,
    folder: str | Path | None = None,
    chunk: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    each: Callable[[Compared | NotCompared], None] | None = None,
) -> Comparison:
    """Judge several methods by several metrics on the same pictures. The model is left exactly as it was.

    Each picture is explained by all methods in one call, and all its maps and the controls are judged together, so
    that passes are shared; the scores of all pictures are then put together.

    Args:
        model: a `Model` or any `nn.Module`.
        pictures: paths of files or folders and samples, PIL images, uint8 arrays `[row, column, 3]`, or a list of
            these; or a float tensor `[batch, channel, row, column]` in the model's own normalised space.
        methods: ids; None compares `registry.default_methods` and leaves out those that would be wrong for this model.
        metrics: ids, see `pellucid.metrics()`; those that need to know where the thing is are refused.
        target: what is explained, as for `explain`, but one per picture.
        layer: layer that layer methods look at, as for `explain`, but one.
        options: keyword options by id of the method or metric.
        seed: integer that starts all random draws.
        sanity: True to check, on the first pictures, that the maps change when the network's weights are drawn at
            random; it costs a few more maps of each method.
        folder: folder where the scores of each picture are kept as soon as they are there, so that the same call goes
            on where another was stopped.
        chunk: samples at once; None decides by the memory that is free.
        progress: function that is called now and then with (method or metric, samples done, samples in all).
        cancel: asked now and then; True stops with `Cancelled`, which carries the `Comparison` so far.
        each: function that is called with each picture as soon as it is done.

    Returns:
        A `Comparison`; pictures that cannot be judged are in its `failed`.

    Raises:
        UnknownName: a method, metric, class or layer that does not exist.
        BadOption: an option that does not fit, a metric that needs more than pictures, or several targets.
        BadPicture: none of the pictures can be judged.
        Refused: a method that was named would be wrong for this model.
        Cancelled: stopped by the caller or by Ctrl-C.
    """
    asked = _plan(wrap(model), methods, metrics, target, layer, options, seed)
    sources = list(_sources(pictures))
    if not sources:
        raise BadOption("Expected at least one picture to compare methods on, got none.")
    kept = Store(None if folder is None else Path(folder) / records.FOLDER, asked.key if folder else "")
    judge = _Judge(asked, kept, sanity=sanity, chunk=chunk, progress=progress, cancel=cancel)
    outcome = over(sources, judge.one, name=lambda source: source.name, each=_told(each))
    found = asked.comparison(outcome)
    if outcome.interrupted is not None:
        why = f"{len(found.pictures)} of {len(sources)} pictures are finished"
        raise Cancelled(f"Interrupted; {why}.", found) from outcome.interrupted
    if not found.pictures:
        raise found.failed[0].error
    return found


def _told(each: Callable[[Compared | NotCompared], None] | None) -> Callable[[Compared | Failure[_Source]], None]:
    """Tells `each` of a picture, in its own words."""

    def tell(found: Compared | Failure[_Source]) -> None:
        if each is not None:
            each(_failed(found) if isinstance(found, Failure) else found)

    return tell


def _failed(failure: Failure[_Source]) -> NotCompared:
    return NotCompared(failure.input.name, failure.input.source, failure.error)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is asked of every picture."""

    model: Model
    steps: tuple[PlannedMethod, ...]
    metrics: tuple[tuple[Metric, Mapping[str, Any]], ...]
    strict: bool
    target: TargetLike
    layer: str | Site | None
    of_methods: Mapping[str, Mapping[str, Any]]
    of_metrics: Mapping[str, Mapping[str, Any]]
    seed: int

    @property
    def wanted(self) -> TargetLike:
        """What is explained: one target per picture, also where `explain` would explain several by default."""
        return Top() if self.target is None else self.target

    @property
    def key(self) -> str:
        """A digest of all that the scores of a picture depend on besides the picture."""
        return question(
            records.KIND,
            self.model,
            methods=[step.written for step in self.steps],
            metrics=[[metric.id, dict(filled), *identity_of(metric)] for metric, filled in self.metrics],
            strict=self.strict,
            target=self.target,
            layer=None if self.layer is None else str(self.layer),
            seed=self.seed,
        )

    def comparison(self, outcome: Outcome[_Source, Compared]) -> Comparison:
        refused = {name for picture in outcome.done for name in picture.refused}
        return Comparison(
            model=self.model,
            methods=tuple(step.method for step in self.steps if step.method.id not in refused),
            metrics=self.metrics,
            options={**self.of_methods, **self.of_metrics},
            pictures=tuple(outcome.done),
            failed=tuple(map(_failed, outcome.failed)),
            target=self.target if isinstance(self.target, int | str) else None,
            layer=None if self.layer is None else str(self.layer),
            seed=self.seed,
            planned=outcome.planned,
        )


def _plan(model: Model, methods: Any, metrics: Any, target: TargetLike, layer: Any, options: Any, seed: Any) -> _Plan:
    strict = methods is not None
    names = list(dict.fromkeys(arguments.method_names(methods))) if strict else list(default_methods(model))
    if not names:
        raise BadOption("Expected at least one method to compare, got none.")
    judged_by = [find_metric(name) for name in dict.fromkeys(arguments.metric_names(metrics))]
    given = arguments.method_options(options)
    for metric in judged_by:
        if metric.needs_truth:
            raise BadOption(
                f"{metric.id} compares with where the thing is, which pictures alone do not say: judge it with "
                "pellucid.evaluate(explanation, metric, masks=... or boxes=...)."
            )
    by_metric = {metric.id for metric in judged_by}
    of_methods = {name: dict(each) for name, each in given.items() if name not in by_metric}
    steps = planned_methods(names, of_methods)
    names += [step.base.method.id for step in steps if step.base]
    for name in given:
        if name not in by_metric and name not in names:
            raise unknown(
                "method or metric",
                name,
                [*names, *by_metric],
                "Its options were given, but it is not among those compared.",
            )
    filled = tuple((metric, fill_options(metric, given.get(metric.id, {}))) for metric in judged_by)
    if len(parse_targets(target, model)) > 1:
        raise BadOption(f"Methods are compared for one target per picture, got {target!r}. Ask for one class.")
    return _Plan(
        model, steps, filled, strict, target, layer, of_methods,
        {name: dict(each) for name, each in given.items() if name in by_metric},
        arguments.whole_number(seed, "seed", "an integer"),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Source:
    """A picture to be judged, and what it is called."""

    name: str
    source: str
    given: Any


def _sources(pictures: Any) -> Iterator[_Source]:
    if isinstance(pictures, Tensor):
        rows = pictures if pictures.ndim == 4 else [pictures]  # explain says what is wrong with the latter
        for number, row in enumerate(rows, 1):
            yield _Source(f"sample {number}", "", row[None] if pictures.ndim == 4 else row)
        return
    given = pictures if isinstance(pictures, list | tuple) else [pictures]
    if all(isinstance(each, str | Path) for each in given):  # at once, so that their names tell them apart
        yield from (_Source(found.name, found.source, found.source) for found in find_pictures(map(str, given)))
        return
    for each in given:
        if isinstance(each, str | Path):
            yield from (_Source(found.name, found.source, found.source) for found in find_pictures([str(each)]))
        else:
            yield _Source(each.name if isinstance(each, Picture) else "picture", "", each)


class _Judge:
    """Explains and judges one picture after the other."""

    def __init__(self, plan: _Plan, kept: Store, *, sanity: bool, **how: Any) -> None:
        self.plan, self.kept, self.sanity, self.how = plan, kept, sanity, how
        self.shown = 0

    def one(self, source: _Source) -> Compared:
        """Judge a picture; of the first ones, keep the maps."""
        shown = self.shown < SHOWN
        found = self._one(source, shown=shown)
        self.shown += shown
        return found

    def _one(self, source: _Source, *, shown: bool) -> Compared:
        content = content_of(source.given)
        known, checked = self._find(content, shown=shown), shown and self.sanity
        picture: Picture | Tensor | None = None
        if shown or known is None:
            picture = self._picture(source)
            if known is None or (checked and known.sanity is None):
                known = self._judged(picture, known, checked=checked)
                self._keep(content, known, shown=shown)
        return replace(
            known,
            name=source.name,
            source=source.source,
            picture=picture if shown and isinstance(picture, Picture) else None,
            sanity=known.sanity if checked else None,  # the same call says the same, whatever was kept before
            maps=known.maps if shown else {},
        )

    def _find(self, content: str, *, shown: bool) -> Compared | None:
        """What is known of a picture, with `shown` its maps too."""
        found = self.kept.parsed(content, records.from_bytes)
        maps = self.kept.parsed(content, records.maps_from_bytes, records.MAPS) if shown else None
        if found is None or (shown and maps is None):
            return None
        return found if maps is None else replace(found, maps=maps)

    def _keep(self, content: str, found: Compared, *, shown: bool) -> None:
        if shown:
            self.kept.write(content, records.maps_to_bytes(found.maps), records.MAPS)
        self.kept.write(content, records.to_bytes(found))

    def _picture(self, source: _Source) -> Picture | Tensor:
        if isinstance(source.given, Tensor | Picture):
            return source.given
        return prepare(source.given, preprocessing_of(self.plan.model), source.source and source.name)

    def _judged(self, picture: Picture | Tensor, known: Compared | None, *, checked: bool) -> Compared:
        """The scores of a picture, and with `checked` its sanity; of what is known already, only the latter."""
        start = time.perf_counter()
        explanation = self._explain(picture)
        sanity = self._sanity(explanation) if checked else None
        if known is not None:
            return replace(known, sanity=sanity, seconds=known.seconds + time.perf_counter() - start)
        evaluation = self._evaluate(explanation)
        return Compared(
            name="",
            source="",
            target=explanation.attributions[0].target[0],
            evaluation=evaluation,
            costs={each.method.id: each.cost for each in explanation},
            refused=dict(explanation.refused),
            seconds=time.perf_counter() - start,
            sanity=sanity,
            prediction=next(iter(explanation.predictions[0] if explanation.predictions else ()), None),
            maps={each.method.id: each.values[0].cpu() for each in explanation},
        )

    def _explain(self, picture: Picture | Tensor) -> Explanation:
        asked = self.plan
        names = [step.method.id for step in asked.steps] if asked.strict else None
        found = explain(
            asked.model, picture, names, asked.wanted, asked.layer, asked.of_methods, asked.seed, **self.how
        )
        if not len(found):
            raise Refused(next(iter(found.refused.values()), "None of the methods has a map of this picture."))
        return found

    def _sanity(self, explanation: Explanation) -> dict[str, float]:
        """How alike each map stays with random weights, by the metric's defaults, whatever else is judged."""
        try:
            judged = evaluate(explanation, SANITY, None, self.plan.seed, controls=False, **self.how)
        except Refused:  # a single method, of a network whose weights cannot be exchanged
            return {}
        return {score.subject: score.mean for score in judged}

    def _evaluate(self, explanation: Explanation) -> Evaluation:
        names = [metric.id for metric, _ in self.plan.metrics]
        try:
            return evaluate(explanation, names, self.plan.of_metrics, self.plan.seed, **self.how)
        except Refused as why:  # a single score was asked for, and there is none
            (attribution,) = explanation
            return Evaluation((), {(attribution.method.id, names[0]): str(why)}, self.plan.seed)
