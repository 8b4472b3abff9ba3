"""The page about a comparison: a ranked table, curves side by side, and what the network saw on the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from PIL import Image

from pellucid.comparison.comparison import Compared, Comparison, Place, controls_of
from pellucid.comparison.curve_frames import METRIC, curve_frames
from pellucid.evaluation import Column, Metric, Score
from pellucid.metrics.randomisation import FAILS
from pellucid.pictures import heat, overlay
from pellucid.report import facts
from pellucid.report.charts import curves
from pellucid.report.document import document
from pellucid.report.packing import photograph
from pellucid.storage import provenance
from pellucid.wording import counted

_FILM = 224  # pixels on a frame's longer side
_OWN = "this method"
_ACROSS = {"deletion": "share hidden", "insertion": "share shown"}


@dataclass(frozen=True)
class ScoreCell:
    """A score in the table: mean, interval, whether it is the best of its column and better than all controls.

    Attributes:
        mean: as text; likewise its interval.
        best: True if it reads as the best mean of the column does.
        beats: True if it is better than all controls.
        lead: how far it is ahead of the closest of them, in words.
    """

    mean: str
    interval: str
    best: bool = False
    beats: bool = False
    lead: str = ""


def page(comparison: Comparison, *, created: str, command: str = "") -> str:
    """The page, as HTML."""
    metrics = [metric for metric, _ in comparison.metrics]
    return document(
        "comparison.html",
        styles=("page.css", "comparison.css"),
        created=created,
        comparison=comparison,
        sentence=sentence(comparison),
        sanity=sanity(comparison),
        metrics=metrics,
        rows=[_row(comparison, place.method, place.rank, metrics) for place in comparison.ranking],
        controls=_controls(comparison, metrics),
        charts=_charts(comparison, metrics),
        films=[_film(comparison, picture) for picture in comparison.pictures if picture.maps],
        command=command,
        versions=provenance.versions(),
        facts=facts,
    )


def sentence(comparison: Comparison) -> str:
    """Who is ahead, and how far that can be relied on; no one where maps that know nothing are as good."""
    count, ranked = len(comparison.pictures), comparison.ranking
    where = "one picture, which says nothing about others" if count == 1 else f"{count} pictures"
    if not ranked or math.isinf(ranked[0].rank):
        why = dict.fromkeys(note for score in comparison for note in score.notes[:1] if not score.judged)
        return " ".join([f"No method has a score on {where}.", *why])
    first = [place for place in ranked if place.rank == ranked[0].rank]
    titles = _listed(_title(comparison, place.method) for place in first)
    by = "the metric" if len(comparison.metrics) == 1 else f"the mean rank by {len(comparison.metrics)} metrics"
    verb = "is" if len(first) == 1 else "are"
    if comparison.controlled and not any(comparison.beats_controls(place.method) for place in ranked):
        return (
            f"No method is better than maps that know nothing of the network, by any metric, on {where}; of the "
            f"methods {titles} {verb} first by {by}."
        )
    how = "is ahead" if len(first) == 1 else "tie" if len(first) == len(ranked) else "tie for the first place"
    ahead = f"{titles} {how} by {by}, on {where}{_of_next(comparison, first)}"
    if close := _close(comparison, first):
        ahead = (
            f"{titles} {verb} first by {by}, on {where}, but not clearly ahead of {_named(comparison, first, close)}"
        )
    insane = [_title(comparison, place.method) for place in first if comparison.is_sane(place.method) is False]
    if insane:
        who = "" if len(first) == 1 else f"{' and '.join(insane)} "
        verb = "changes" if len(insane) == 1 else "change"
        return f"{ahead}, but {who}hardly {verb} when the network's weights are drawn at random."
    own = [score for place in first for score in comparison.scores_of(place.method).values()]
    beaten = dict.fromkeys(score.metric.id for score in own if comparison.beats_all(score))
    if not comparison.controlled:
        return f"{ahead}."
    if not beaten:
        it = f"{'it' if len(first) == 1 else 'one of them'}{'' if count == 1 else ' clearly'}"
        return f"{ahead}; by no metric is {it} better than all maps that know nothing of the network."
    if len(first) > 1:
        return f"{ahead}."
    return f"{ahead}; better than all maps that know nothing of the network by {', '.join(beaten)}."


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _close(comparison: Comparison, first: Sequence[Place]) -> str:
    """The best of the others that the first does not lead, of several pictures; "" where it leads them all."""
    if len(first) > 1 or len(comparison.pictures) < 2:
        return ""
    others = _others(comparison, first)
    return next((each for each in others if not comparison.leads(first[0].method, each)), "")


def _others(comparison: Comparison, first: Sequence[Place]) -> list[str]:
    return [place.method for place in comparison.ranking if place not in first and not math.isinf(place.rank)]


def _of_next(comparison: Comparison, first: Sequence[Place]) -> str:
    """By how much the only first is ahead of the next, in brackets."""
    others = _others(comparison, first)
    return "" if len(first) > 1 or not others else f", of {_named(comparison, first, others[0])}"


def _named(comparison: Comparison, first: Sequence[Place], other: str) -> str:
    """A method and how the first stands beside it, metric by metric."""
    leads = comparison.between(first[0].method, other).items()
    return f"{_title(comparison, other)} ({'; '.join(f'{name}: {each.short}' for name, each in leads)})"


def sanity(comparison: Comparison) -> str:
    """What is known of whether the maps change with what the network has learned."""
    asked = "whether the maps change when the network's weights are drawn at random"
    if not comparison.checked:
        return f"Sanity was not checked: {asked}."
    where = counted(comparison.checked, "picture")
    first = where if comparison.checked == len(comparison.pictures) else f"the first {where}"
    return f"Sanity was checked on {first}: {asked}."


def warning(comparison: Comparison, method: str) -> str:
    """What must be said of a method that fails the sanity check; "" of all others."""
    if comparison.is_sane(method) is not False:
        return ""
    likeness = comparison.likeness(method)
    return (
        f"hardly changes when the weights are drawn at random: likeness {likeness:.2f}, where 1 is the same map "
        f"and more than {FAILS:g} fails"
    )


def _title(comparison: Comparison, method: str) -> str:
    return next((each.title for each in comparison.methods if each.id == method), method)


def _row(comparison: Comparison, method: str, rank: float, metrics: Sequence[Metric]) -> dict[str, Any]:
    scores = comparison.scores_of(method)
    return {
        "id": method,
        "title": _title(comparison, method),
        "rank": "" if math.isinf(rank) else f"{rank:.3g}",
        "warning": warning(comparison, method),
        "seconds": facts.seconds(comparison.seconds_of(method)),
        "cells": [_cell(comparison, scores.get(metric.id)) for metric in metrics],
    }


def _cell(comparison: Comparison, score: Score | None) -> ScoreCell:
    if score is None or math.isnan(score.mean):
        return ScoreCell("–", "")
    column, ahead = comparison.columns[score.metric.id], comparison.ahead.get((score.subject, score.metric.id))
    first = comparison.evaluation.ranked(score.metric.id)[0]
    best = column.number(score.mean) == column.number(first.mean)
    said = "" if ahead is None else ahead.text
    return ScoreCell(column.number(score.mean), column.interval(score), best, comparison.beats_all(score), said)


def _controls(comparison: Comparison, metrics: Sequence[Metric]) -> list[tuple[str, list[ScoreCell]]]:
    """The rows of the maps that know nothing."""
    first = {metric.id: next(iter(comparison.evaluation.ranked(metric.id)), None) for metric in metrics}
    names = controls_of([score for score in first.values() if score is not None])
    found = []
    for name in names:
        scores = [None if each is None else each.controls.get(name) for each in first.values()]
        cells = zip(metrics, scores, strict=True)
        found.append((name, [_control(comparison.columns[metric.id], score) for metric, score in cells]))
    return found


def _control(column: Column, score: Score | None) -> ScoreCell:
    return ScoreCell("–", "") if score is None else ScoreCell(column.number(score.mean), column.interval(score))


def _charts(comparison: Comparison, metrics: Sequence[Metric]) -> list[tuple[Metric, list[tuple[str, str, Markup]]]]:
    """For each metric with curves, a small chart of every method; means over the pictures, all on one scale."""
    found = []
    for metric in metrics:
        scores = [comparison.scores_of(place.method).get(metric.id) for place in comparison.ranking]
        drawn = [score for score in scores if score is not None and "curve" in score.extras]
        if drawn:
            every = [curve for score in drawn for each in (score, *score.controls.values()) for curve in _mean(each)]
            high = max((y for _, y in every if math.isfinite(y)), default=1.0)
            low = min(0.0, min((y for _, y in every if math.isfinite(y)), default=0.0))
            column = comparison.columns[metric.id]
            charts = [(_title(comparison, s.subject), column.text(s), _chart(s, low, high)) for s in drawn]
            found.append((metric, charts))
    return found


def _mean(score: Score) -> list[tuple[float, float]]:
    curve = score.extras["curve"].double().nanmean(0).tolist() if "curve" in score.extras else []
    return list(zip(score.axis, curve, strict=False))


def _chart(score: Score, low: float, high: float) -> Markup:
    return curves(
        {_OWN: _mean(score), **{control: _mean(each) for control, each in score.controls.items()}},
        across=_ACROSS.get(score.metric.id, ""),
        up=f"mean {score.asked}",
        low=low,
        high=high,
        quiet=set(score.controls),
        small=True,
    )


def _film(comparison: Comparison, picture: Compared) -> dict[str, Any]:
    """One picture: what every method shows, and what the network saw on the way of its deletion."""
    shown = [place.method for place in comparison.ranking if place.method in picture.maps]
    rows = [_film_row(comparison, picture, method) for method in shown]
    first = picture.prediction
    asked = next((s.asked for s in picture.evaluation if s.metric.id == METRIC), "")
    return {
        "name": picture.name,
        "target": picture.target,
        "prediction": "" if first is None else f"{first.name}, {facts.certainty(first)}",
        "photo": _source(picture.picture.image) if picture.picture else "",
        "rows": rows,
        "film": any(row["frames"] for row in rows),
        "asked": asked,
    }


def _film_row(comparison: Comparison, picture: Compared, method: str) -> dict[str, Any]:
    values, decoded = picture.maps[method], picture.picture
    score = next((s for s in picture.evaluation if (s.subject, s.metric.id) == (method, METRIC)), None)
    options = next((options for metric, options in comparison.metrics if metric.id == METRIC), None)
    frames = (
        []
        if score is None or decoded is None
        else curve_frames(comparison.model, decoded.tensor, values, score, options)
    )
    return {
        "title": _title(comparison, method),
        "map": _source(heat(values) if decoded is None else overlay(decoded, values)),
        "score": "" if score is None else f"{METRIC} {comparison.columns[METRIC].text(score)}",
        "frames": [(_source(f.image), facts.percent(f.share), _said(score, f.probability)) for f in frames],
    }


def _said(score: Score | None, value: float) -> str:
    return f"{value:.3g}" if score is not None and score.asked == "score" else facts.percent(value)


def _source(image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((_FILM, _FILM))
    return photograph(small)[0]
