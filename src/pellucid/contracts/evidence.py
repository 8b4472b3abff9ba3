"""What methods are given of attention layers, and what they give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from pellucid.contracts.axes import Map


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a method may return instead of a bare tensor.

    Attributes:
        raw: the evidence as the method defines it: `[batch, *axes]` on the site's grid or on a grid of positions, or
            `[batch, channel, *axes]` at the model's input.
        values: the signed map `[batch, *axes]` at model-input resolution, when it is not simply `raw` resized or
            reduced over its channels.
        extras: further findings by name, each with the batch axis first.
        notes: what the reader of the map must know.
    """

    raw: Tensor
    values: Map | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Attentions:
    """What the attention layers of a transformer did for one target, in one summary of their matrices.

    Attributes:
        layers: one tensor for each attention layer, from the first to the last: `[batch, query, key]`, heads joined, or
            `[batch, key]`, queries joined too. Tokens are in the same order in all of them.
        places: `[*axes]`, the number of the token that stands for each cell of the picture; all other tokens
            (class, distillation, registers) stand for no place.
        read: `[batch, token]`, 1 for the tokens behind the last layer that the score depends on, else 0; None where
            the summary does not need it.
        notes: what the reader of a map must know about how this was come by.
        trouble: why the matrices of this network would mislead, in words that follow "this network:"; then nothing else
            is here.
    """

    layers: tuple[Tensor, ...] = ()
    places: Tensor | None = None
    read: Tensor | None = None
    notes: tuple[str, ...] = ()
    trouble: str = ""
