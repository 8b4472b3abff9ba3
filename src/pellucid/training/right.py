"""How many held-out pictures were answered right, and how much that says: an interval, and the majority's guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_SURE = 0.95


@dataclass(frozen=True)
class Right:
    """Right answers about pictures that were held out.

    Attributes:
        count: pictures answered right.
        total: pictures asked about, 1 or more.
        guessed: pictures that whoever always answers the same class gets right.
        guess: name of that class, the most frequent one among the pictures learned from.
    """

    count: int
    total: int
    guessed: int
    guess: str

    @property
    def share(self) -> float:
        """Of right answers, 0 to 1."""
        return self.count / self.total

    @property
    def guessing(self) -> float:
        """Share that the majority's guess gets right, 0 to 1."""
        return self.guessed / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Shares of all such pictures that this may stand for, 0 to 1: 95 %, exact.

        Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
        Biometrika 26 (1934), doi:10.1093/biomet/26.4.404.
        """
        from scipy.stats import binomtest

        low, high = binomtest(self.count, self.total).proportion_ci(_SURE, "exact")
        return float(low), float(high)

    @property
    def note(self) -> str:
        """What has to be said where guessing could have done as much; else ""."""
        always = f"always answering {self.guess!r} gets {self.guessing:.1%}"
        if self.count <= self.guessed:
            return (
                f"It has learned nothing that shows on held-out pictures: {self.share:.1%} of them are right, and "
                f"{always}. More pictures, more passes or another rate may help."
            )
        low, high = self.interval
        if low <= self.guessing:
            return (
                f"{self.total} held-out pictures are too few to tell it from guessing: {always}, and {self.share:.1%} "
                f"of so few may stand for anything from {low:.1%} to {high:.1%}."
            )
        return ""

    @property
    def known(self) -> dict[str, Any]:
        """For JSON."""
        return {"right": self.count, "of": self.total, "interval": list(self.interval),
                "majority": {"class": self.guess, "accuracy": self.guessing}}  # fmt: skip


def right(answers: Tensor, truth: Tensor, learned: Tensor, classes: tuple[str, ...]) -> Right:
    """Count right answers, and those of the majority's guess.

    Args:
        answers: numbers of classes, `[picture]`.
        truth: likewise.
        learned: numbers of the classes of the pictures learned from.
        classes: names.
    """
    most = int(torch.bincount(learned, minlength=len(classes)).argmax())
    return Right(int((answers == truth).sum()), len(truth), int((truth == most).sum()), classes[most])
