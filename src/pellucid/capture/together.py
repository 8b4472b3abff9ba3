"""Several targets of one call: each pass over changed pictures is read for all of them at once.

Methods ask for one target after the other. What they asked is known again by the function that changes the pictures:
its code and all that it was made with. So no method has to promise that it asks the same for every target; where that
cannot be seen, or differs, each target is asked for alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor

from pellucid.contracts import Perturbation
from pellucid.digests import known_digest
from pellucid.targets import Target

Read: TypeAlias = tuple[Tensor, Tensor | None]
"""Scores, of all targets `[..., target]` or of one `[...]`, and top classes `[...]`, if there are any."""


@dataclass
class Together:
    """What all targets of a call share.

    Attributes:
        targets: resolved, in the order of the call.
        known: answers so far by question, None where it has none of its kind, with the passes that they took.
    """

    targets: Sequence[Target]
    known: dict[str, tuple[Read | None, int]] = field(default_factory=dict)

    def answer(self, question: str, ask: Callable[[], tuple[Read | None, int]]) -> tuple[Read | None, int]:
        """The answer to a question, asked once: what was read, and how many passes it rests on."""
        if question not in self.known:
            self.known[question] = ask()
        return self.known[question]


def question_of_change(change: Perturbation, *more: Any) -> str | None:
    """Equal for functions that change the pictures of a call equally; None where that cannot be seen.

    Args:
        change: makes the variants.
        more: what else the answer depends on, such as their number.
    """
    return known_digest(change, more)
