"""Several targets of one call: each pass over changed pictures is read for all of them at once.

Methods ask for one target after the other. What they asked is known again by its contents, the changed pictures
themselves, so no method has to promise that it asks the same for every target.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.contracts import LocalPerturbation, Maps
from pellucid.targets import Target

_BYTES = 2**26
"""Changed pictures in memory at once while a question is read."""

Read: TypeAlias = tuple[Tensor, Tensor | None] | None
"""Scores `[..., target]` and top classes `[...]`; None where the question has no answer of this kind."""


@dataclass
class Together:
    """What all targets of a call share.

    Attributes:
        targets: resolved, in the order of the call.
        known: answers so far by question, with the passes that they took.
    """

    targets: Sequence[Target]
    known: dict[str, tuple[Read, int]] = field(default_factory=dict)

    def answer(self, question: str, ask: Callable[[], tuple[Read, int]]) -> tuple[Read, int]:
        """The answer to a question, asked once: what was read, and how many passes it rests on."""
        if question not in self.known:
            self.known[question] = ask()
        return self.known[question]


def question_of(rows: Maps, samples: Tensor) -> str:
    """Equal for equal pictures `[n, channel, row, column]` of the same numbers `[n]`."""
    digest = hashlib.blake2b(repr((tuple(rows.shape), rows.dtype, samples.tolist())).encode(), digest_size=16)
    digest.update(_bytes(rows))
    return digest.hexdigest()


def question_of_boxes(change: LocalPerturbation, image: Maps) -> str:
    """Likewise of all variants that a change of boxes makes of all pictures."""
    batch, count = len(image), change.boxes.shape[-2]
    digest = hashlib.blake2b(repr((tuple(image.shape), image.dtype, count)).encode(), digest_size=16)
    digest.update(_bytes(change.boxes))
    numbers = torch.arange(batch * count, device=image.device)
    for some in torch.split(numbers, max(1, _BYTES // max(1, image[0].nbytes))):
        digest.update(_bytes(change(image[some % batch], some % batch, some // batch)))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    """What a tensor of numbers holds, in the order of its indices."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
