"""The page about a comparison: a ranked table, curves side by side, and what the network saw on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from PIL import Image

from pellucid.comparing.comparison import Compared, Comparison, Place, controls_of
from pellucid.comparing.film import METRIC, film
from pellucid.evaluation import Metric, Score
from pellucid.metrics.randomisation import FAILS
from pellucid.pictures import heat, overlay
from pellucid.report import facts
from pellucid.report.charts import curves
from pellucid.report.document import document
from pellucid.report.packing import photograph

_FILM = 224  # pixels on a frame's longer side
_OWN = "this method"
_ACROSS = {"deletion": "share hidden", "insertion": "share shown"}


@dataclass(frozen=True)
class Cell:
    """A score in the table: mean, interval, whether it is the best of its column and better than all controls."""

    mean: str
    interval: str
    best: bool = False
    beats: bool = False


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
        versions=facts.versions(),
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
    titles = " and ".join(_title(comparison, place.method) for place in first)
    by = "the metric" if len(comparison.metrics) == 1 else f"the mean rank by {len(comparison.metrics)} metrics"
    verb = "is" if len(first) == 1 else "are"
    if comparison.controlled and not any(comparison.beats_controls(place.method) for place in ranked):
        return (
            f"No method is better than maps that know nothing of the network, by any metric, on {where}; of the "
            f"methods {titles} {verb} first by {by}."
        )
    ahead = f"{titles} {verb} ahead by {by}, on {where}"
    close = _close(comparison, first)
    if close:
        ahead = f"{titles} {verb} first by {by}, on {where}, but not clearly ahead of {close}"
    insane = [_title(comparison, place.method) for place in first if comparison.is_sane(place.method) is False]
    if insane:
        who = "" if len(first) == 1 else f"{' and '.join(insane)} "
        verb = "changes" if len(insane) == 1 else "change"
        return f"{ahead}, but {who}hardly {verb} when the network's weights are drawn at random."
    own = comparison.scores_of(first[0].method)
    beaten = [score.metric.id for score in own.values() if comparison.beats_all(score)]
    if len(first) > 1:
        return f"{ahead}."
    if not beaten:
        return f"{ahead}; by no metric is it better than all maps that know nothing of the network."
    return f"{ahead}; better than all maps that know nothing of the network by {', '.join(beaten)}."


def _close(comparison: Comparison, first: Sequence[Place]) -> str:
    """The best of the others that the first does not lead, of several pictures; "" where it leads them all."""
    others = [place for place in comparison.ranking if place not in first and not math.isinf(place.rank)]
    if len(first) > 1 or len(comparison.pictures) < 2:
        return ""
    close = [place for place in others if not comparison.leads(first[0].method, place.method)]
    return _title(comparison, close[0].method) if close else ""


def sanity(comparison: Comparison) -> str:
    """What is known of whether the maps change with what the network has learned."""
    asked = "whether the maps change when the network's weights are drawn at random"
    if not comparison.checked:
        return f"Sanity was not checked: {asked}."
    where = facts.count(comparison.checked, "picture")
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


def _cell(comparison: Comparison, score: Score | None) -> Cell:
    if score is None or math.isnan(score.mean):
        return Cell("–", "")
    best = not any(other.better_than(score) for other in comparison.evaluation.ranked(score.metric.id))
    return Cell(_number(score.mean), _interval(score), best, comparison.beats_all(score))


def _number(value: float) -> str:
    return f"{value:.2f}" if 0.095 <= abs(value) < 100 or value == 0 else f"{value:.2g}"


def _interval(score: Score) -> str:
    part = f"{score.judged} of {len(score.values)} pictures" if 0 < score.judged < len(score.values) else ""
    spread = "" if score.interval is None else f"{_number(score.interval[0])} to {_number(score.interval[1])}"
    return ", ".join(filter(None, (spread, part)))


def _controls(comparison: Comparison, metrics: Sequence[Metric]) -> list[tuple[str, list[Cell]]]:
    """The rows of the maps that know nothing."""
    first = {metric.id: next(iter(comparison.evaluation.ranked(metric.id)), None) for metric in metrics}
    names = controls_of([score for score in first.values() if score is not None])
    found = []
    for name in names:
        scores = [None if each is None else each.controls.get(name) for each in first.values()]
        found.append((name, [Cell("–", "") if s is None else Cell(_number(s.mean), _interval(s)) for s in scores]))
    return found


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
            charts = [(_title(comparison, s.subject), s.text, _chart(s, low, high)) for s in drawn]
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
    frames = [] if score is None or decoded is None else film(comparison.model, decoded.tensor, values, score)
    return {
        "title": _title(comparison, method),
        "map": _source(heat(values) if decoded is None else overlay(decoded, values)),
        "score": "" if score is None else f"{METRIC} {score.text}",
        "frames": [(_source(f.image), facts.percent(f.share), _said(score, f.probability)) for f in frames],
    }


def _said(score: Score | None, value: float) -> str:
    return f"{value:.3g}" if score is not None and score.asked == "score" else facts.percent(value)


def _source(image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((_FILM, _FILM))
    return photograph(small)[0]
