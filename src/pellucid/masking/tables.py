"""What the columns of a table do not have: neighbours, and a unit that they share."""

from __future__ import annotations

from typing import Protocol

from pellucid.errors import Refused


class KnowsTables(Protocol):
    """What knows of a model whether it takes rows of features: a probe, or what a metric asks."""

    @property
    def is_tabular(self) -> bool:
        """Whether the model takes rows of features."""


def refuse_tables(name: str, asked: KnowsTables, why: str) -> None:
    """Refuse a method or metric on rows of a table; `why` ends the sentence.

    Raises:
        Refused: the model takes rows of features.
    """
    if asked.is_tabular:
        raise Refused(f"{name} is not defined for tables, as {why}.")
