"""Telling a weight from a feature: of two factors that both depend on the picture, which one weighs the other?"""

from __future__ import annotations

from typing import Any

from pellucid.capture.backward_rules.lrp_steps import PassStep
from pellucid.capture.operators import behind, made_by, nearest, op, plain_name, routes

CAPPED, GATE, ROOT = 1, 2, 3
RULES = {op.HARDSIGMOID: GATE, op.SIGMOID: GATE, op.SOFTMAX: GATE, op.RSQRT: ROOT, op.SQRT: ROOT}
_STEPS = {"capped": CAPPED, "squashing": GATE}


def weighs(node: Any) -> int:
    """How surely a value is a weight for another one: 0 is a feature.

    Decided by the operation that it came out of, constant factors and moves aside: a root (the spread of values that
    shall be normalised), a sigmoid or softmax, or else a rectifier with a ceiling (a hard sigmoid by hand).
    """
    return min((_rank(maker) for maker in nearest(node, lambda n: not _hands_on(n))), default=0)


def _hands_on(node: Any) -> bool:
    owner = made_by(node)
    return node.kind == "factor" if owner is PassStep else owner is None and routes(plain_name(node))


def _rank(node: Any) -> int:
    if made_by(node) is PassStep:
        return _STEPS.get(node.kind, 0)
    operator = behind(plain_name(node))
    return 0 if operator is None else RULES.get(operator, 0)
