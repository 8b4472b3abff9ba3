"""What the methods that read attention layers share."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Attentions, Map
from pellucid.errors import Refused
from pellucid.numerics import safe_divide


def check_attentions(method: str, attentions: Attentions) -> None:
    """Refuse a network whose attention would be misread.

    Raises:
        Refused: with the reason.
    """
    if attentions.trouble or attentions.places is None:
        raise Refused(f"{method} cannot read this network: {attentions.trouble}. Use grad-cam.")


def read_shares(attentions: Attentions) -> Tensor:
    """Equal shares for the tokens that the score reads behind the last layer, `[batch, 1, token]`; 0 for all others."""
    if attentions.read is None:
        raise ValueError("this summary does not tell which tokens the score depends on")
    total = attentions.read.sum(1, keepdim=True).expand_as(attentions.read)
    return safe_divide(attentions.read, total)[:, None]


def as_map(tokens: Tensor, attentions: Attentions) -> Map:
    """The tokens `[batch, token]` that stand for a place, at their places `[batch, *axes]`."""
    return tokens[:, attentions.places]
