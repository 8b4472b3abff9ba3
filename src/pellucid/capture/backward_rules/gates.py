"""Telling a weight from a feature: of two factors that both depend on the picture, which one weighs the other?"""

from __future__ import annotations

from typing import Any

from pellucid.capture.backward_rules.lrp_steps import PassStep
from pellucid.capture.operators import ROUTING, made_by, nearest, plain_name

CAPPED, GATE, ROOT = 1, 2, 3
_RANKS = {"hardsigmoid": GATE, "sigmoid": GATE, "softmax": GATE, "rsqrt": ROOT, "sqrt": ROOT}
_STEPS = {"capped": CAPPED, "squashing": GATE}


def weighs(node: Any) -> int:
    """How surely a value is a weight for another one: 0 is a feature.

    Decided by the operation that it came out of, constant factors and moves aside: a root (the spread of values that
    shall be normalised), a sigmoid or softmax, or else a rectifier with a ceiling (a hard sigmoid by hand).
    """
    return min((_rank(maker) for maker in nearest(node, lambda n: not _hands_on(n))), default=0)


def _hands_on(node: Any) -> bool:
    owner = made_by(node)
    return node.kind == "factor" if owner is PassStep else owner is None and plain_name(node) in ROUTING


def _rank(node: Any) -> int:
    return _STEPS.get(node.kind, 0) if made_by(node) is PassStep else _RANKS.get(plain_name(node), 0)
