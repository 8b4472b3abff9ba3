"""What the methods that hand the score down operation by operation share."""

from __future__ import annotations

from torch import Tensor

from pellucid.errors import Refused


def check_operations(method: str, uncovered: tuple[str, ...], instead: str) -> None:
    """Refuse a network with operations that the method has no rule for.

    Raises:
        Refused: there are such operations; the message names them.
    """
    if uncovered:
        names = ", ".join(uncovered)
        raise Refused(
            f"{method} has no rule for {names}, which this network uses. {before_softmax(uncovered)}{instead}"
        )


def before_softmax(names: tuple[str, ...]) -> str:
    """What to do about a softmax, if these operations are nothing else; a sentence with a space behind it."""
    if not all("softmax" in name for name in names):
        return ""
    return (
        "Where a softmax comes last, explain the scores before it: a score instead of a probability as target, or "
        "pellucid.wrap(module, call=...) with a function that runs the network up to there, on the command line "
        "returned by a factory: --model FILE.py:FACTORY. "
    )


def absorbed(score: Tensor, raw: Tensor) -> Tensor:
    """What of the score `[batch]` did not arrive at the input."""
    return score - raw.flatten(1).sum(1)
