"""How far one score is ahead of another, picture by picture, and what may be said of it: better, a tie, worse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from pellucid.contracts import Score
from pellucid.evaluation.bootstrap import mean_and_interval
from pellucid.evaluation.digits import decimals, number

Verdict = Literal["better", "tie", "worse", "unknown"]

_RANK: dict[Verdict, int] = {"unknown": 0, "worse": 1, "tie": 2, "better": 3}
_TOO_SMALL = "the difference is no larger than rounding"


@dataclass(frozen=True)
class Lead:
    """One score beside another of the same pictures.

    Attributes:
        over: what the other is called.
        gain: by how much it is better, mean over the pictures that both have an answer for, in the metric's own unit
            and positive where it is better; NaN without such a picture. Differences that are only rounding count as 0.
        interval: the 95 % bootstrap interval of that mean; None with fewer than two pictures.
        won: pictures on which it is the better one.
        lost: on which it is the worse one.
        count: pictures that both have an answer for.
    """

    over: str
    gain: float
    interval: tuple[float, float] | None
    won: int
    lost: int
    count: int

    @property
    def verdict(self) -> Verdict:
        """`better` or `worse` where the whole interval is on that side of zero; of one picture, the difference itself.

        `tie` where the interval holds zero or nothing differs beyond rounding, `unknown` without a common picture.
        """
        if not self.count:
            return "unknown"
        low, high = self.interval or (self.gain, self.gain)
        return "better" if low > 0 else "worse" if high < 0 else "tie"

    @property
    def text(self) -> str:
        """The verdict, over what, and what it rests on, as people read it."""
        return self._said(f" than {self.over}", f" with {self.over}")

    @property
    def short(self) -> str:
        """As `text`, where it is clear over what."""
        return self._said("", "")

    def _said(self, than: str, beside: str) -> str:
        if self.verdict == "unknown":
            return f"no picture in common{beside}"
        if not self.won and not self.lost:
            return f"a tie{beside}, {_TOO_SMALL}"
        how = f"a tie{beside}: " if self.verdict == "tie" else f"{self.verdict}{than} by "
        return f"{how}{self._difference}{self._share}"

    @property
    def known(self) -> dict[str, Any]:
        """Everything a document records, as plain values."""
        return {
            "over": self.over,
            "verdict": self.verdict,
            "gain": self.gain,
            "interval": None if self.interval is None else list(self.interval),
            "won": self.won,
            "lost": self.lost,
            "pictures": self.count,
        }

    @property
    def _difference(self) -> str:
        """The difference and its interval: two digits of it, more where its interval would seem to touch zero."""
        low, high = self.interval or (self.gain, self.gain)
        places = decimals(max(abs(self.gain), (high - low) / 2), 2)
        if self.verdict != "tie":
            places = max(places, decimals(min(abs(low), abs(high)), 1))
        sign = -1 if self.verdict == "worse" else 1
        ends = sorted((sign * low, sign * high))
        spread = "" if self.interval is None else f" ({number(ends[0], places)} to {number(ends[1], places)})"
        return f"{number(sign * self.gain, places)}{spread}"

    @property
    def _share(self) -> str:
        if self.count < 2:
            return ""
        share = ("worse", self.lost) if self.verdict == "worse" else ("better", self.won)
        return f", {share[0]} on {share[1]} of {self.count}"


def lead(score: Score, other: Score, over: str = "") -> Lead:
    """How far a score is ahead of another of the same metric and pictures, which is called `over` or as it is."""
    gains = score.gains(other)
    mean, interval = mean_and_interval(gains, score.seed)
    known = gains[gains.isfinite()]
    return Lead(over or other.subject, mean, interval, int((known > 0).sum()), int((known < 0).sum()), len(known))


def closest(score: Score) -> Lead | None:
    """How far a score is ahead of the control that is hardest to beat; None without controls.

    Only of that one is said what holds for all: better than it is better than each of them.
    """
    leads = (lead(score, control, name) for name, control in score.controls.items())
    return min(leads, key=_hardness, default=None)


def _hardness(found: Lead) -> tuple[int, float]:
    """Smaller for what is harder to beat: by the verdict, then by the mean difference."""
    return _RANK[found.verdict], math.inf if math.isnan(found.gain) else found.gain
