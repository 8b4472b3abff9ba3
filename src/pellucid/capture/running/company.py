"""Questions about a pass that are put off until it is over, as a pass cannot begin within another one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Question: TypeAlias = Callable[[], bool]
"""Whether the rows of a pass influenced each other."""


class _Open(threading.local):
    questions: list[Question] | None = None


_open = _Open()


@contextmanager
def questions_kept() -> Iterator[list[Question]]:
    """Collect the questions of passes that run inside, to be put behind."""
    before, questions = _open.questions, list[Question]()
    _open.questions = questions
    try:
        yield questions
    finally:
        _open.questions = before


def kept() -> list[Question] | None:
    """Where a question can be put; None where nobody would ask it."""
    return _open.questions
