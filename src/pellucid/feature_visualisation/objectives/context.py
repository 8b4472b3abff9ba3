"""What an objective may look at in one step."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pellucid.contracts import Model, Site


@dataclass
class ObjectiveContext:
    """What an objective may look at in one step.

    Attributes:
        model: the network, with what its scores were measured to be if they are wanted.
        pictures: before any transform, `[batch, channel, row, column]`, 0 to 1; over plain grey if they have alpha.
        given: the same as the network's input, normalised.
        layers: what the layers give for the transformed pictures.
        scores: `[batch, class]` before any softmax; None where no objective asks.
        edges: where gradients towards the layers flow to.
        picture: a photograph at the size of these, `[1, channel, row, column]`, 0 to 1, by its name.
        of_picture: what a layer gives for a photograph, in the layer's own layout.
        as_maps: what a layer gives, or its gradient, as `[batch, channel, row, column]`, by the layer's site.
        maps_of_picture: `as_maps` of a photograph, at the size of these pictures or at the one that is named.
        opacity: of pictures with alpha, `[batch, row, column]`, 0 to 1.
        kept: what an objective has worked out once and needs at every step, by a key of its own.
    """

    model: Model
    pictures: Tensor
    given: Tensor
    layers: Mapping[Site, Tensor]
    edges: Mapping[Site, Any]
    scores: Tensor | None
    of_picture: Callable[[str, Site], Tensor]
    as_maps: Callable[[Site, Tensor], Tensor]
    maps_of_picture: Callable[..., Tensor]
    picture: Callable[[str], Tensor]
    opacity: Tensor | None = None
    kept: dict[Hashable, Any] = field(default_factory=dict)
