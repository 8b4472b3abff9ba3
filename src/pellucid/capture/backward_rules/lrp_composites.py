"""Composites: which rule serves which operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pellucid.capture.backward_rules import lrp_rules as affine
from pellucid.capture.backward_rules.lrp_rules import RelevanceRule, with_options
from pellucid.capture.operators import Affine
from pellucid.errors import BadOption


@dataclass(frozen=True)
class Composite:
    """Names of rules: for dense layers, for convolutions, and for the operations that look at the picture itself."""

    dense: str
    convolution: str
    first: str = ""


COMPOSITES: Mapping[str, Composite] = MappingProxyType(
    {
        "epsilon": Composite("epsilon", "epsilon"),
        "epsilon-plus": Composite("epsilon", "z-plus"),
        "epsilon-plus-flat": Composite("epsilon", "z-plus", "flat"),
        "epsilon-gamma-box": Composite("epsilon", "gamma", "z-box"),
        "epsilon-alpha2-beta1": Composite("epsilon", "alpha-beta"),
        "epsilon-alpha2-beta1-flat": Composite("epsilon", "alpha-beta", "flat"),
    }
)
ANYWHERE = ("epsilon", "z-plus", "gamma", "alpha-beta", "flat", "w-square")
_FIRST = ("z-box",)
WEIGHTED = ("convolution", "dense")
"""Kinds of operations that the rules are for."""


@dataclass(frozen=True)
class Numbers:
    """The rules' own numbers."""

    epsilon: float
    gamma: float
    alpha: float

    def check(self) -> None:
        """Refuse numbers that no rule can use."""
        for name, least in (("epsilon", 0), ("gamma", 0), ("alpha", 1)):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or value < least:
                raise BadOption(f"expected a number of at least {least} as {name} of the method, got {value!r}.")


def find_composite(name: object, first: object = "", dense: object = "") -> Composite:
    """The composite with this name, its rules for first operations and dense layers replaced if others are named.

    Raises:
        BadOption: there is none, or no such rule.
    """
    if not isinstance(name, str) or name not in COMPOSITES:
        raise BadOption(f"the method has no composite {name!r}. It has: {', '.join(COMPOSITES)}.")
    chosen = COMPOSITES[name]
    return Composite(
        _find_rule(dense, "dense layers") or chosen.dense,
        chosen.convolution,
        _find_rule(first, "first operations", *_FIRST) or chosen.first,
    )


def _find_rule(name: object, place: str, *more: str) -> str:
    known = (*ANYWHERE, *more)
    if not isinstance(name, str) or name not in ("", *known):
        raise BadOption(f"the method has no rule {name!r} for {place}. It has: {', '.join(known)}.")
    return name


def layer_rules(text: object) -> dict[str, str]:
    """Names of rules by the paths of layers, read from `path=rule,path=rule`.

    Raises:
        BadOption: another text, a path that comes twice, or no such rule.
    """
    found: dict[str, str] = {}
    for entry in text.split(",") if isinstance(text, str) and text.strip() else ():
        path, equals, rule = (part.strip() for part in entry.partition("="))
        if not path or not equals:
            raise BadOption(f"expected rules of layers as in features.0=z-box,classifier=gamma, got {text!r:.200}.")
        if path in found:
            raise BadOption(f"expected one rule for the layer {path!r}, got two.")
        if not rule:
            raise BadOption(f"expected a rule for the layer {path!r}: {', '.join((*ANYWHERE, *_FIRST))}.")
        found[path] = _find_rule(rule, f"the layer {path!r}", *_FIRST)
    return found


def rule_for(composite: Composite, operation: Affine, *, first: bool) -> str:
    """Name of the rule for one operation. Pooling, attention and norms on their own share in proportion."""
    if operation.kind not in WEIGHTED:
        return "proportion"
    if operation.rule:
        return operation.rule
    if first and composite.first:
        return composite.first
    return composite.dense if operation.kind == "dense" else composite.convolution


def make_rule(name: str, numbers: Numbers) -> RelevanceRule:
    """The rule of this name; z-box is made where its bounds are known."""
    return {
        "proportion": affine.epsilon,
        "epsilon": with_options(affine.epsilon, amount=numbers.epsilon),
        "z-plus": with_options(affine.alpha_beta, alpha=1.0),
        "gamma": with_options(affine.gamma, amount=numbers.gamma),
        "alpha-beta": with_options(affine.alpha_beta, alpha=numbers.alpha),
        "flat": affine.flat,
        "w-square": affine.w_square,
    }[name]
