"""The record of a need: what a parameter's name asks of the passes, and how its value is read off them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

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


@dataclass(frozen=True)
class Need:
    """One reserved name of a method's parameters that passes over the pictures answer.

    Attributes:
        name: of the parameter.
        ask: what it wants of the passes, for a method at a layer or at the input.
        read: its value, for a method, from what they brought back.
    """

    name: str
    ask: Callable[[Asker, Site | None], PassRequest]
    read: Callable[[PassResult, Asker, Where], Any]


def at_layer(site: Site | None, **more: bool) -> PassRequest:
    """A request for a layer, if there is one."""
    return PassRequest(sites=(site,) if site else (), **more)  # type: ignore[arg-type]
