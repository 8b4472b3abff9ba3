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
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pellucid.targets import Target
from pellucid.types import Model


class Rewriting(TorchFunctionMode):
    """Base of all rewritings. Made anew for every pass.

    Attributes:
        freezes: whether parameters must count as constants during the pass, so that "needs a gradient" means "depends
            on the picture".
        gives_to_constants: whether constants get a part of the score, so that what only looks like one must be told.
    """

    freezes = True
    gives_to_constants = False

    def prepare(self, model: Model, image: Tensor, samples: Tensor) -> None:
        """Look at the network before the pass; `samples` says which picture each row of `image` belongs to."""

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


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Treat all parameters as constants."""
    wanted = [p for p in module.parameters() if p.is_leaf and p.requires_grad]
    try:
        for parameter in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


def functions(*names: str) -> frozenset[Callable[..., Any]]:
    """Every function of torch, `torch.nn.functional` and tensors that goes by one of these names."""
    found = (getattr(place, name, None) for place in (torch, F, Tensor, torch._C._nn) for name in names)
    return frozenset(function for function in found if function is not None)


def bind(args: tuple[Any, ...], kwargs: dict[str, Any], *names: tuple[str, Any]) -> list[Any]:
    """Arguments in the order of `names`, each with its default.

    Raises:
        TypeError: a call with other arguments.
    """
    if len(args) > len(names) or not set(kwargs) <= {"self", *(name for name, _ in names)}:
        raise TypeError
    rest = names[len(args) :]
    return [*args, *(kwargs.get(name, default) for name, default in rest)]


def depends(value: Any) -> bool:
    """Whether a value depends on the picture, in a pass with frozen parameters."""
    return isinstance(value, Tensor) and value.requires_grad
