"""What decides how a network is trained."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from pellucid.errors import BadOption

_STEPS_A_PASS, _LEAST_BATCH = 16, 8
_STEPS, _PATIENT_STEPS = 300, 80
"""Steps that a network needs to learn anything, and to settle its running means, however few pictures there are."""


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        passes: the most times that all examples are shown.
        batch: examples per step.
        rate: of Adam, falling along a half cosine to 0.
        shift: pictures are shown moved by up to this share of their side, anew in each pass.
        patience: passes without a better validation loss after which training ends.
        seed: of weights, order and dropout.
    """

    passes: int = 30
    batch: int = 64
    rate: float = 2e-3
    shift: float = 1 / 16
    patience: int = 6
    seed: int = 0

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            BadOption: they are not positive.
        """
        for name, value in asdict(self).items():
            if name not in ("seed", "shift") and not value > 0:
                raise BadOption(f"Expected {name} above 0, got {value}.")
        if not 0 <= self.shift < 1:
            raise BadOption(f"Expected a shift from 0 up to below 1, got {self.shift}.")


def usual_settings(count: int) -> Settings:
    """Settings for so many pictures to learn from.

    What a network learns, it learns step by step: a set that fits into one batch would be left after a handful of them.
    So small sets have smaller batches, and more passes.
    """
    usual = Settings()
    batch = min(usual.batch, max(_LEAST_BATCH, count // _STEPS_A_PASS))
    steps = max(1, math.ceil(count / batch))
    return Settings(
        passes=max(usual.passes, math.ceil(_STEPS / steps)),
        batch=batch,
        patience=max(usual.patience, math.ceil(_PATIENT_STEPS / steps)),
    )
