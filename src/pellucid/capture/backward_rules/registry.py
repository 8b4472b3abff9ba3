"""Which rewritings there are. A method's record names one; its parameters are taken from the method's options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias

from pellucid.capture.backward_rules.base import Rewriting
from pellucid.capture.backward_rules.biases import Biases
from pellucid.capture.backward_rules.deep_lift import Differences
from pellucid.capture.backward_rules.excitation import ContrastiveExcitation, Excitation
from pellucid.capture.backward_rules.lrp import Relevance
from pellucid.capture.backward_rules.relu import Rectifiers
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
class BackwardRule:
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


PLAIN = BackwardRule("plain")


def rule_of(name: str, options: Mapping[str, Any]) -> BackwardRule:
    """The rule of a method: of its options, the rewriting receives those that it has parameters for."""
    taken = _parameters(CATALOGUE[name])
    return BackwardRule(name, tuple((option, value) for option, value in options.items() if option in taken))


@cache
def _parameters(rewriting: Callable[..., Rewriting]) -> frozenset[str]:
    return frozenset(inspect.signature(rewriting).parameters)
