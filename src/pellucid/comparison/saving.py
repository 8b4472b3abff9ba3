"""The files of a comparison: one page, one JSON document, one table of every single score."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pellucid._version import __version__
from pellucid.comparison.comparison import Comparison
from pellucid.comparison.page import page
from pellucid.evaluation import Score
from pellucid.report.tables import comma_separated
from pellucid.storage import provenance, values
from pellucid.storage.atomic import complete, encode
from pellucid.storage.plain_json import as_file

COLUMNS = ("picture", "target", "map", "control", "metric", "better", "value")


def save(comparison: Comparison, folder: Path, *, command: str = "") -> Path:
    """Write `comparison.html`, `comparison.json`, `scores.csv` and `result.npz`; other files there are left alone.

    Raises:
        BadOption: the folder cannot be written to; nothing is left behind.
    """
    created = provenance.now()
    with complete(folder) as staging:
        (staging / "comparison.html").write_bytes(encode(page(comparison, created=created, command=command)))
        (staging / "comparison.json").write_bytes(as_file(document(comparison, created=created, command=command)))
        (staging / "scores.csv").write_bytes(encode(table(comparison)))
        (staging / values.NAME).write_bytes(values.to_bytes(_lean(comparison)))
    return folder


def _lean(comparison: Comparison) -> Comparison:
    """Without the pictures that no page shows, and without the attributions, of which the shown maps are kept."""
    kept = [
        replace(
            each,
            picture=each.picture if each.maps else None,
            evaluation=replace(each.evaluation, scores=tuple(map(_alone, each.evaluation))),
        )
        for each in comparison.pictures
    ]
    return replace(comparison, pictures=tuple(kept))


def _alone(score: Score) -> Score:
    controls = {name: _alone(control) for name, control in score.controls.items()}
    return replace(score, attribution=None, controls=controls)


def document(comparison: Comparison, *, created: str = "", command: str = "") -> dict[str, Any]:
    """Everything that was found out, as plain values."""
    model = comparison.model
    inputs = [provenance.input_record(p.picture, p.name, p.source or None) for p in comparison.pictures]
    return {
        **provenance.head(created=created, command=command, model=model, inputs=inputs),
        "pellucid": __version__,
        "seed": comparison.seed,
        "target": comparison.target,
        "layer": comparison.layer,
        "pictures_checked_for_sanity": comparison.checked,
        "metrics": [
            {"id": m.id, "title": m.title, "better": m.better, "protocol": str(m.reference), "options": dict(options)}
            for m, options in comparison.metrics
        ],
        "options": comparison.options,
        "ranking": [
            {
                "method": place.method,
                "rank": place.rank,
                "ranks": dict(place.ranks),
                "sane": comparison.is_sane(place.method),
                "likeness": comparison.likeness(place.method),
                "seconds": comparison.seconds_of(place.method),
            }
            for place in comparison.ranking
        ],
        "scores": [_summary(comparison, score) for score in comparison],
        "pictures": [
            {"name": p.name, "source": p.source, "target": p.target, "seconds": p.seconds} for p in comparison.pictures
        ],
        "refused": dict(comparison.refused),
        "without": [
            {"method": subject, "metric": metric, "why": why}
            for (subject, metric), why in comparison.evaluation.refused.items()
        ],
        "failed": [
            {"name": f.name, "source": f.source, "error": type(f.error).__name__, "message": str(f.error)}
            for f in comparison.failed
        ],
        "planned": comparison.planned,
    }


def _summary(comparison: Comparison, score: Score) -> dict[str, Any]:
    known = {name: value for name, value in score.known.items() if name not in ("curve", "protocol", "better")}
    ahead = comparison.ahead.get((score.subject, score.metric.id))
    closest = None if ahead is None else ahead.known
    return {**known, "better_than_all_controls": comparison.beats_all(score), "closest_control": closest}


def table(comparison: Comparison) -> str:
    """One line for each picture, map and metric; no number where there is no answer."""
    return comma_separated([COLUMNS, *_lines(comparison)])


def _lines(comparison: Comparison) -> Iterator[list[Any]]:
    for index, picture in enumerate(comparison.pictures):
        for score in comparison:
            maps = {score.subject: score} | (dict(score.controls) if _first(comparison, score) else {})
            for name, each in maps.items():
                value = float(each.values[index])
                control = "no" if each is score else "yes"
                metric = score.metric
                known = "" if math.isnan(value) else value
                yield [picture.name, picture.target, name, control, metric.id, metric.better, known]


def _first(comparison: Comparison, score: Score) -> bool:
    """Whether it is the first of its metric: all methods share their controls, so that these come once."""
    return score is next(other for other in comparison if other.metric.id == score.metric.id)
