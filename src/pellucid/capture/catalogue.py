"""Which rewritings there are. A method's record names one; its parameters are taken from the method's options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from pellucid.capture.biases import Biases
from pellucid.capture.differences import Differences
from pellucid.capture.excitation import ContrastiveExcitation, Excitation
from pellucid.capture.relevance import Relevance
from pellucid.capture.rewriting import Rewriting
from pellucid.capture.rules import Rectifiers
from pellucid.held import plain

CATALOGUE: Mapping[str, Callable[..., Rewriting]] = MappingProxyType(
    {
        "plain": Rectifiers,
        "guided": Rectifiers,
        "deconvnet": Rectifiers,
        "relevance": Relevance,
        "excitation": Excitation,
        "contrastive-excitation": ContrastiveExcitation,
        "differences": Differences,
        "biases": Biases,
    }
)
Key: TypeAlias = tuple[Callable[..., Rewriting], tuple[tuple[str, Any], ...]]


@dataclass(frozen=True)
class Rule:
    """One backward rule: the name of a rewriting, and the options that it takes."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def key(self) -> Key:
        """Rules with equal keys are served by one forward pass."""
        return CATALOGUE[self.name], self.options

    def make(self) -> Rewriting:
        """The rewriting for one pass.

        Raises:
            BadOption: an option's value makes no sense.
        """
        return CATALOGUE[self.name](**plain(dict(self.options)))


PLAIN = Rule("plain")


def rule_of(name: str, options: Mapping[str, Any]) -> Rule:
    """The rule of a method: of its options, the rewriting receives those that it has parameters for."""
    taken = inspect.signature(CATALOGUE[name]).parameters
    return Rule(name, tuple((option, value) for option, value in options.items() if option in taken))
