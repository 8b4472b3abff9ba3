"""What was chosen for a piece of work, by whom and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

ChosenBy: TypeAlias = Literal["user", "default", "trial"]
"""Who chose: the caller, a rule that looks at no picture's map, or a measurement on these pictures or this model."""


@dataclass(frozen=True)
class Choice:
    """One decision of a plan.

    Attributes:
        value: what was chosen; None where nothing had to be, or where the model says it picture by picture.
        by: who chose it.
        why: reason for people, as a part of a sentence; "" where the value says all.
    """

    value: Any
    by: ChosenBy
    why: str = ""

    @classmethod
    def of_user(cls, value: Any) -> Choice:
        """What the caller asked for."""
        return cls(value, "user", "chosen by you")

    @property
    def known(self) -> dict[str, Any]:
        """As JSON has it."""
        several = isinstance(self.value, tuple | list)
        value = None if self.value is None else [str(each) for each in self.value] if several else str(self.value)
        return {"value": value, "by": self.by, "why": self.why}

    @property
    def words(self) -> str:
        """The reason, or the value where there is none."""
        return self.why or str(self.value)
