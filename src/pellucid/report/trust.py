"""The panel that says, beside a map, how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pellucid.evaluation import Column, Score, Trust, column_of
from pellucid.evaluation.trust import FAITHFULNESS
from pellucid.report.charts import curves
from pellucid.report.views import MapView

_OWN = "this map"
_ACROSS = {"deletion": "share hidden", "insertion": "share shown"}


@dataclass(frozen=True)
class Panel:
    """What stands beside a map.

    Attributes:
        level: one word for the evidence.
        sane: True if the map changes with the network's weights; None where that is not known.
        sentence: what to make of it.
        comparison: the differences that it rests on.
        charts: curves of this picture: title, what is better, drawing.
        columns: of the table: whose scores.
        rows: of the table: the metric, what is better, and the scores of this picture.
        over: means and intervals over all pictures, by metric; nothing where there is one picture.
    """

    level: str
    sane: bool | None
    sentence: str
    comparison: str
    charts: tuple[tuple[str, str, Markup], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]
    over: tuple[tuple[str, str], ...]


def panels(findings: Sequence[MapView]) -> list[Panel | None]:
    """The panels of a picture's maps, None for one that was not judged; their curves share one scale."""
    every = [score for f in findings if f.trust for s in f.trust.scores.values() for score in (s, *s.controls.values())]
    index = findings[0].index if findings else 0
    curved = [score for score in every if score.metric.id in FAITHFULNESS]
    high = max((float(score.extras["curve"][index].max()) for score in curved), default=1.0)
    low = min(0.0, min((float(score.extras["curve"][index].min()) for score in curved), default=0.0))
    return [f.trust if f.trust is None else _panel(f.trust, f.index, low, high) for f in findings]


def _panel(trust: Trust, index: int, low: float, high: float) -> Panel:
    scores = list(trust.scores.values())
    drawn = [score for score in scores if "curve" in score.extras and score.metric.id in FAITHFULNESS]
    several = trust.pictures > 1
    controls = dict.fromkeys(name for score in scores for name in score.controls)
    rows = [(score, [score, *(score.controls.get(name) for name in controls)]) for score in scores]
    written = {score.metric.id: column_of([score]) for score in scores}
    return Panel(
        trust.level,
        trust.sane,
        trust.sentence,
        trust.comparison,
        tuple((s.metric.title, f"{s.metric.better} is better", _chart(s, index, low, high)) for s in drawn),
        (_OWN, *controls),
        tuple(
            (
                s.metric.title,
                f"{s.metric.better} is better",
                tuple(_number(written[s.metric.id], x, index) for x in row),
            )
            for s, row in rows
        ),
        tuple((s.metric.title, written[s.metric.id].text(s)) for s in scores) if several else (),
    )


def _chart(score: Score, index: int, low: float, high: float) -> Markup:
    shown = {_OWN: score, **score.controls}
    return curves(
        {name: list(zip(s.axis, s.extras["curve"][index].tolist(), strict=True)) for name, s in shown.items()},
        across=_ACROSS.get(score.metric.id, ""),
        up=score.asked,
        low=low,
        high=high,
        quiet=set(score.controls),
        small=True,
    )


def _number(column: Column, score: Score | None, index: int) -> str:
    return "" if score is None else column.number(float(score.values[index]))
