"""Rewritings: what one pass sends back through a network instead of its gradient.

A rewriting is a `TorchFunctionMode`. For the length of one forward pass it replaces the *operations* that it has rules
for by ones with another backward, whether a module, a function or a tensor method calls them. Nothing of the user's
model is touched. After the pass it names every operation in the score's graph that it does not cover.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pellucid.contracts import Model
from pellucid.errors import Refused
from pellucid.targets import Target

_TAKES_GRADIENTS = frozenset([torch.autograd.grad, torch.autograd.backward, Tensor.backward])


class Rewriting(TorchFunctionMode):
    """Base of all rewritings. Made anew for every pass.

    Attributes:
        freezes: True if parameters must count as constants during the pass, so that "needs a gradient" means "depends
            on the picture".
        gives_to_constants: True if constants get a part of the score, so that what only looks like one must be told.
    """

    freezes = True
    gives_to_constants = False

    def prepare(self, model: Model, image: Tensor, samples: Tensor) -> None:
        """Look at the network before the pass; `samples` says which picture each row of `image` belongs to."""

    @staticmethod
    def check_call(func: Callable[..., Any]) -> None:
        """Look at what the network is about to call.

        Raises:
            Refused: it takes gradients, and would be given what is sent back in their place.
        """
        if func in _TAKES_GRADIENTS:
            raise Refused(
                "This method sends back something else than gradients, and the network takes gradients of its own in "
                "its forward pass: it would be given that instead, and answer otherwise. Use saliency, "
                "integrated-gradients or occlusion."
            )

    def feed(self, rows: Tensor, model: Model) -> Tensor:  # noqa: ARG002
        """What the network is given for the rows `[n, channel, row, column]` that are to be explained."""
        return rows

    def score(self, target: Target, output: Any, samples: Tensor, model: Model) -> Tensor:
        """The target's score `[n]` of the rows."""
        return target.score(output, samples, model)

    def start(self, score: Tensor) -> Tensor | None:  # noqa: ARG002
        """What the backward pass begins with, `[n]`; None is 1 for every row."""
        return None

    @contextmanager
    def use(self, rule: str) -> Iterator[None]:  # noqa: ARG002
        """Take gradients under this one of the rules that share the forward pass."""
        yield

    def uncovered(self, made: Collection[Any]) -> tuple[str, ...]:  # noqa: ARG002
        """Operations among these nodes of a score's graph that no rule covers, in words for people."""
        return ()

    def assumed(self, made: Collection[Any]) -> tuple[str, ...]:  # noqa: ARG002
        """What the rules took for granted at these nodes of a score's graph, as sentences for people."""
        return ()

    def holds(self, rows: Tensor, signal: Tensor, score: Tensor, number: int) -> bool:  # noqa: ARG002
        """Whether what arrived sums to what it must, but for rounding; else the pass is repeated in float64.

        Args:
            rows: that were explained.
            signal: what arrived at them.
            score: theirs, `[n]`.
            number: of the target.
        """
        return True

    def collected(self, number: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """What was gathered for this target, the one of the last backward pass, by name, each `[n, ...]`."""
        return {}
