"""The record of a need: what a parameter's name asks of the passes, how its value is read off them and joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from pellucid.capture.backward_rules import BackwardRule
from pellucid.capture.passes import PassRequest, PassResult
from pellucid.contracts import Site


class Asker(Protocol):
    """What a need sees of the method that has it."""

    @property
    def options(self) -> Mapping[str, Any]:
        """All of them, filled in."""

    @property
    def rule(self) -> BackwardRule:
        """Its backward rule."""

    @property
    def summaries(self) -> Mapping[str, str]:
        """How attention layers are summed up for each need that asks for them."""


@dataclass(frozen=True)
class Where:
    """Which of the values that the passes brought back is meant: the number of the target, and the layer if any."""

    target: int
    site: Site | None
    at_layer: bool
    """Whether the method's signal ends at that layer, and not at the input."""


def rows_of(parts: Sequence[Any]) -> Any:
    """One tensor of the rows of all chunks."""
    return torch.cat(list(parts))


def words_of(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The words of all chunks, each once, in order."""
    return tuple(sorted({word for part in parts for word in part}))


@dataclass(frozen=True)
class Need:
    """One reserved name of a method's parameters that passes over the pictures answer.

    Attributes:
        name: of the parameter.
        ask: what it wants of the passes, for a method at a layer or at the input.
        read: its value, for a method, from what they brought back of one chunk of the pictures; None without any.
        join: the value for all pictures from those of consecutive chunks.
    """

    name: str
    ask: Callable[[Asker, Site | None], PassRequest]
    read: Callable[[PassResult, Asker, Where], Any]
    join: Callable[[Sequence[Any]], Any] = rows_of

    def value(self, chunks: Sequence[PassResult], asker: Asker, where: Where) -> Any:
        """What the method gets: the value for all pictures."""
        parts = [self.read(chunk, asker, where) for chunk in chunks]
        return parts[0] if len(parts) == 1 or parts[0] is None else self.join(parts)


def at_layer(site: Site | None, **more: bool) -> PassRequest:
    """A request for a layer, if there is one."""
    return PassRequest(sites=(site,) if site else (), **more)  # type: ignore[arg-type]
