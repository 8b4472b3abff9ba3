"""A column of scores as people read it: all with the same decimals, so many that what differs looks different."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pellucid.contracts import ROUNDING, Score
from pellucid.evaluation.digits import decimals, number
from pellucid.evaluation.lead import lead


@dataclass(frozen=True)
class Column:
    """How the scores of one metric are written.

    Attributes:
        decimals: of each number.
    """

    decimals: int

    def number(self, value: float) -> str:
        """A mean, an end of an interval, or the score of one picture; "none" without an answer."""
        return "none" if math.isnan(value) else number(value, self.decimals)

    def interval(self, score: Score) -> str:
        """The interval, and of how many pictures if not of all; "" where there is neither."""
        part = f"{score.judged} of {len(score.values)}" if 0 < score.judged < len(score.values) else ""
        low_high = score.interval
        spread = "" if low_high is None else f"{self.number(low_high[0])} to {self.number(low_high[1])}"
        return ", ".join(filter(None, (spread, part)))

    def text(self, score: Score) -> str:
        """Mean and interval."""
        beside = self.interval(score)
        return f"{self.number(score.mean)} ({beside})" if beside else self.number(score.mean)


def column_of(scores: Iterable[Score]) -> Column:
    """How scores of one metric, and those of their controls, are written beside each other.

    Two significant digits of the largest and of how far they lie apart; more where two that are told apart picture by
    picture would look the same.
    """
    mine = [score for score in scores if not math.isnan(score.mean)]
    means = [each.mean for score in mine for each in (score, *score.controls.values()) if not math.isnan(each.mean)]
    size = max(map(abs, means), default=0.0)
    apart = max(means, default=0.0) - min(means, default=0.0)
    places = decimals(size, 2)
    if apart > ROUNDING * size:
        places = max(places, decimals(apart, 2))
    for first, second in _pairs(mine):
        while _look_alike(first, second, places):
            places += 1
    return Column(places)


def _look_alike(first: Score, second: Score, places: int) -> bool:
    """Whether two means that are told apart would be written alike."""
    alike = first.mean != second.mean and number(first.mean, places) == number(second.mean, places)
    return alike and lead(first, second).verdict in ("better", "worse")


def _pairs(scores: list[Score]) -> Iterator[tuple[Score, Score]]:
    """Every score with those after it and with its own controls."""
    for index, score in enumerate(scores):
        for other in (*scores[index + 1 :], *score.controls.values()):
            if len(other.values) == len(score.values) and not math.isnan(other.mean):
                yield score, other
