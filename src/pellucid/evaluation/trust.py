"""How far a map can be trusted: its scores beside those of maps that know nothing, and one plain sentence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pellucid.contracts import Attribution, Evaluation, Score
from pellucid.engine.cost import PlannedCost
from pellucid.errors import Cancelled
from pellucid.evaluation.controls import CONTROLS
from pellucid.evaluation.judge import evaluate
from pellucid.evaluation.lead import Lead, closest, lead
from pellucid.metrics.randomisation import FAILS
from pellucid.registry import fill_options, find_metric

FAITHFULNESS = ("deletion", "insertion")
"""Metrics that ask the network whether the map names what mattered."""

SANITY = "randomisation"
"""The metric that asks whether the map depends on what the network has learned."""

_BESIDE: Mapping[str, Mapping[str, Any]] = {SANITY: {}, "max-sensitivity": {"samples": 5}}
"""What else is asked, with its options. Controls say nothing there: what ignores the network is steady, and insane."""
_NO_TIME = "It would have taken longer than judging may take here."
_SECONDS = (20.0, 60.0)
"""Least and most that judging may take by default."""
_SAYS = {  # where the map is better than the controls, and where it is not
    "deletion": ("hiding pixels in its order takes the answer away", "hiding them does not take it away"),
    "insertion": ("showing pixels in its order brings the answer back", "showing them does not bring it back"),
}
_CONTROLS = {"random": "a random map", "centre": "a hill in the centre", "edges": "the picture's edges"}

Level = Literal["good", "mixed", "weak", "fails", "unknown"]


def judge_trust(
    explained: Iterable[Attribution],
    seed: int = 0,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seconds: float | None = None,
    chunk: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Evaluation:
    """The scores that `Trust` speaks of, for each attribution; other arguments and errors as `evaluate`.

    Args:
        explained: the attributions.
        seed: integer that starts all random draws.
        options: keyword options by metric id, over those that judging has by itself.
        seconds: how long it may take, about; what takes longer is left out, and is among the refused with the reason.
            None takes all the time that it needs.
        chunk: as for `evaluate`.
        progress: likewise.
        cancel: likewise.
    """
    maps = list(explained)
    limit = _Limit(seconds, cancel)
    asked = [*FAITHFULNESS, *limit.affordable(sum(each.cost.seconds for each in maps))]
    given = {name: own for name, own in {**_BESIDE, **(options or {})}.items() if name in asked}
    try:
        found = evaluate(maps, asked, given, seed, chunk=chunk, progress=progress, cancel=limit.is_over)
    except Cancelled as stop:
        if not limit.passed:
            raise Cancelled(str(stop), _plain(stop.finished)) from stop
        found = stop.finished
    return _plain(_with_left_out(found, maps) if seconds is not None else found)


def cost_of_trust(made: PlannedCost, maps: int, targets: int) -> PlannedCost:
    """Passes that judging takes for each picture where it may take all the time that it needs.

    Args:
        made: what the maps of one target take together.
        maps: number of maps of each target.
        targets: number of targets. Maps that know nothing of the network are judged once for all.
    """
    cost = PlannedCost()
    for name in (*FAITHFULNESS, *_BESIDE):
        metric = find_metric(name)
        if metric.passes:
            each = metric.passes.forward_of(fill_options(metric, {}))
            cost += PlannedCost(each * (maps * targets + len(CONTROLS)))
        cost += made * (_times_remade(name) * targets)
    return cost


def _times_remade(name: str) -> int:
    """How often a metric makes each map anew, with the options that are asked for here."""
    metric = find_metric(name)
    return int(fill_options(metric, _BESIDE.get(name, {}))[metric.remade]) if metric.remade else 0


def seconds_for(explained: Iterable[Attribution]) -> float:
    """How long judging may take where nobody asked for all of it: about as long as the maps took, in bounds."""
    low, high = _SECONDS
    return min(max(sum(each.cost.seconds for each in explained), low), high)


class _Limit:
    """The time that judging may take.

    Attributes:
        passed: True if it was over before the judging was.
    """

    def __init__(self, seconds: float | None, cancel: Callable[[], bool] | None) -> None:
        self.seconds, self.cancel, self.passed = seconds, cancel, False
        self.start = time.monotonic()

    def affordable(self, cost: float) -> list[str]:
        """What can be asked besides, when all maps together take `cost` seconds to make."""
        left, found = math.inf if self.seconds is None else self.seconds, []
        for name in _BESIDE:
            needed = _times_remade(name) * cost
            if needed <= left:
                left -= needed
                found.append(name)
        return found

    def is_over(self) -> bool:
        """Whether the caller wants to stop, or the time is over."""
        if self.cancel is not None and self.cancel():
            return True
        self.passed = self.seconds is not None and time.monotonic() - self.start > self.seconds
        return self.passed


def _with_left_out(found: Evaluation, maps: Sequence[Attribution]) -> Evaluation:
    """The evaluation with the reason why some of it is missing."""
    judged = {(id(score.attribution), score.metric.id) for score in found}
    every = [(each, name) for each in maps for name in (*FAITHFULNESS, *_BESIDE)]
    missing = {(each.method.id, name): _NO_TIME for each, name in every if (id(each), name) not in judged}
    return replace(found, refused={**missing, **found.refused})


def left_out(evaluation: Evaluation) -> dict[str, list[str]]:
    """By metric, the methods that there was no time to judge by it."""
    missing = [pair for pair, why in evaluation.refused.items() if why == _NO_TIME]
    return {metric: [m for m, other in missing if other == metric] for metric in dict.fromkeys(m for _, m in missing)}


def _plain(found: Evaluation) -> Evaluation:
    """The scores, controls only where they say something."""
    scores = (s if s.metric.id in FAITHFULNESS else replace(s, controls={}) for s in found)
    return replace(found, scores=tuple(scores))


@dataclass(frozen=True, eq=False)
class Trust:
    """What is known about one attribution.

    Attributes:
        scores: by id of the metric.
        refused: likewise, why there is none.
    """

    scores: Mapping[str, Score]
    refused: Mapping[str, str]

    @property
    def pictures(self) -> int:
        """How many pictures the scores of faithfulness rest on."""
        return max((score.judged for score in self._faithful), default=0)

    @property
    def sane(self) -> bool | None:
        """Whether the map changes with the weights of the network; None where that is not known."""
        return None if SANITY not in self.scores else is_sane(self.scores[SANITY])

    @property
    def level(self) -> Level:
        """How good the evidence is that the map shows what the network uses.

        `fails` where it hardly changes with the weights; else `good` where hiding and showing both find it better than
        every control, `mixed` where one does, `weak` where neither does.
        """
        if self.sane is False:
            return "fails"
        won = [not unbeaten(score) for score in self._faithful]
        if len(won) < len(FAITHFULNESS):
            return "unknown"
        return "good" if all(won) else "mixed" if any(won) else "weak"

    @property
    def sentence(self) -> str:
        """What a person should make of it, in one sentence."""
        if self.level == "unknown":
            return f"Not known: {' '.join(self._unknown) or 'it was not judged to the end.'}"
        if self.level == "fails":
            return (
                "Beware: it hardly changes when the network's weights are drawn at random (likeness "
                f"{self.scores[SANITY].mean:.2f}), so it shows the picture more than what the network has learned."
            )
        where = f"evidence, on {'one picture' if self.pictures == 1 else f'{self.pictures} pictures'}:"
        if self.level == "good":
            return (
                f"Good {where} hiding pixels in its order takes the answer away, and showing them brings it back, "
                "sooner than with maps that know nothing of the network."
            )
        lost = {score.metric.id: _unbeaten(score) for score in self._faithful if unbeaten(score)}
        if self.level == "weak":
            names = dict.fromkeys(name for names in lost.values() for name in names)
            ties = ": ties" if all(tie for found in lost.values() for tie in found.values()) else ""
            return (
                f"Weak {where} neither hiding nor showing pixels in its order moves the answer sooner than maps that "
                f"know nothing of the network do ({_listed(names, 'and')}{ties})."
            )
        won = next(name for name in FAITHFULNESS if name not in lost)
        ((other, better_ones),) = lost.items()
        tied = " (a tie)" if all(better_ones.values()) else ""
        return (
            f"Mixed {where} {_SAYS[won][0]} sooner than with maps that know nothing of the network, but "
            f"{_SAYS[other][1]} sooner than with {_listed(better_ones, 'or')}{tied}."
        )

    @property
    def leads(self) -> dict[str, Lead]:
        """By metric of faithfulness, how far the map is ahead of the control that is hardest to beat."""
        found = {score.metric.id: closest(score) for score in self._faithful}
        return {name: each for name, each in found.items() if each is not None}

    @property
    def comparison(self) -> str:
        """The differences that the sentence rests on; "" where there are none."""
        return "; ".join(f"{name}: {each.text}" for name, each in self.leads.items())

    @property
    def _unknown(self) -> dict[str, None]:
        """Why there is no score of faithfulness."""
        unjudged = [self.scores[name] for name in FAITHFULNESS if name in self.scores and not self.scores[name].judged]
        return dict.fromkeys([*self.refused.values(), *(note for score in unjudged for note in score.notes[:1])])

    @property
    def _faithful(self) -> list[Score]:
        return [self.scores[name] for name in FAITHFULNESS if name in self.scores and self.scores[name].judged]

    def known(self, index: int) -> dict[str, Any]:
        """What a manifest records about one picture."""
        return {
            "level": self.level,
            "sentence": self.sentence,
            "pictures": self.pictures,
            "sane": self.sane,
            "leads": {name: each.known for name, each in self.leads.items()},
            "scores": [_of_picture(score, index) for score in self.scores.values()],
            "refused": dict(self.refused),
        }


def trust_of(attribution: Attribution, evaluation: Evaluation) -> Trust:
    """What an evaluation says about one attribution."""
    scores = {score.metric.id: score for score in evaluation if score.attribution is attribution}
    refused = {name: why for (subject, name), why in evaluation.refused.items() if subject == attribution.method.id}
    return Trust(scores, {name: why for name, why in refused.items() if name not in scores})


def unbeaten(score: Score) -> tuple[str, ...]:
    """The controls that a score is not better than.

    With one picture the larger number counts, unless the difference is only rounding; with several, the 95 % bootstrap
    interval of the differences, picture by picture, must lie on the better side of zero.
    """
    return tuple(name for name, control in score.controls.items() if lead(score, control).verdict != "better")


def _unbeaten(score: Score) -> dict[str, bool]:
    """As `unbeaten`, with whether it is a tie."""
    return {name: lead(score, score.controls[name]).verdict == "tie" for name in unbeaten(score)}


def is_sane(score: Score) -> bool | None:
    """Whether maps pass the check of `randomisation`; None without an answer."""
    return None if math.isnan(score.mean) else score.mean <= FAILS


def better(score: Score, other: Score) -> bool:
    """Whether one score is better than another of the same pictures, and not just by chance of which pictures."""
    return lead(score, other).verdict == "better"


def _listed(names: Iterable[str], joined: str) -> str:
    *first, last = (_CONTROLS.get(name, name) for name in names)
    return f"{', '.join(first)} {joined} {last}" if first else last


def _of_picture(score: Score, index: int) -> dict[str, Any]:
    known = {name: value for name, value in score.known.items() if name not in ("values", "curve", "controls")}
    curve = {"curve": score.extras["curve"][index].tolist()} if "curve" in score.extras else {}
    controls = {
        name: {"value": float(s.values[index]), "mean": s.mean, "interval": s.interval}
        for name, s in score.controls.items()
    }
    return {**known, "value": float(score.values[index]), **curve, "controls": controls}
