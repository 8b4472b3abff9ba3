"""Reading scores off outputs: those of one target, or of all targets of a call from the same passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from pellucid.capture.meter import ProgressMeter
from pellucid.capture.passes import check_rows
from pellucid.capture.together import Read, Together, question_of_change
from pellucid.contracts import Model, Perturbation
from pellucid.numerics import full_precision
from pellucid.targets import Target, class_scores

Found = TypeVar("Found", Read, Read | None)
"""What a question finds: an answer, or None where it has none of its kind."""


@dataclass(frozen=True)
class ScoreReader:
    """Reads the scores of changed pictures for one target, and for those that it shares its passes with.

    Attributes:
        model: whose outputs are read.
        target: resolved.
        meter: counts the rows that were read.
        together: all targets of the call, this one among them; None where each pass is read for this one alone.
    """

    model: Model
    target: Target
    meter: ProgressMeter
    together: Together | None

    def question(self, change: Perturbation, *more: Any) -> str | None:
        """What tells a question that other targets ask as well; None where there are none, or it cannot be told."""
        return None if self.together is None else question_of_change(change, *more)

    def own(self, question: str | None, ask: Callable[[], Found]) -> Found:
        """This target's part of what `ask` finds for all of them; passes count in full for each that shares them."""
        answer: Read | None
        if question is None or self.together is None:
            answer = ask()
        else:
            before = self.meter.forward
            answer, passes = self.together.answer(question, lambda: (ask(), self.meter.forward - before))
            self.meter.forward = before + passes
        if answer is None:
            return cast("Found", None)
        score, top = answer
        return score[..., self._number].clone(), top

    @property
    def _number(self) -> int:
        """This target's among all that are read for."""
        return next(k for k, target in enumerate(self._targets) if target is self.target)

    @property
    def _targets(self) -> Sequence[Target]:
        """Those that each pass is read for."""
        return (self.target,) if self.together is None else self.together.targets

    def read(self, output: Any, samples: Tensor) -> Read:
        """The scores of rows of an output for this target, `[n]`, and their top classes `[n]`."""
        scores, top = self._read(output, samples, (self.target,))
        return scores[:, 0], top

    def read_all(self, output: Any, samples: Tensor) -> Read:
        """The same for all targets: scores `[n, target]`."""
        return self._read(output, samples, self._targets)

    def _read(self, output: Any, samples: Tensor, targets: Sequence[Target]) -> Read:
        with torch.inference_mode():
            scores = [full_precision(target.score(output, samples, self.model)) for target in targets]
            for score in scores:
                check_rows(score, samples, self.model)
            classes = class_scores(output, self.model)
            top = classes.argmax(1) if isinstance(classes, Tensor) and classes.shape[1] > 1 else None
        self.meter.forward += len(samples)
        return torch.stack(scores, -1).clone(), None if top is None else top.clone()


def folded(flat: Tensor, first: int) -> Tensor:
    """The first axis as two, the first of which is so long."""
    return flat.reshape(first, -1, *flat.shape[1:])


def joined(chunks: Sequence[Read], arrange: Callable[[Tensor], Tensor] = lambda flat: flat) -> Read:
    """The answers of all chunks, put in order."""
    score = torch.cat([c[0] for c in chunks])
    tops = [c[1] for c in chunks if c[1] is not None]
    return arrange(score).contiguous(), arrange(torch.cat(tops)).contiguous() if len(tops) == len(chunks) else None
