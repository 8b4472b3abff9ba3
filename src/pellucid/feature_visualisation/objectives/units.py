"""Objectives of units: channels, single places, tokens, attention heads, and a layer as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pellucid.errors import BadOption
from pellucid.feature_visualisation.objectives.catalogue import entry
from pellucid.feature_visualisation.objectives.context import ObjectiveContext
from pellucid.feature_visualisation.objectives.layer import OfLayer, Units, pick, place


@entry("channel")
@dataclass(frozen=True)
class Channel(OfLayer):
    """Mean of a channel over all places."""

    each = ("unit",)
    layer: str
    unit: Units

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean of the map; of tokens `[batch, token, feature]`, of the feature."""
        value = self.seen(seen, 4, 3)
        if value.dim() == 3:
            return pick(value, self.unit, 2, str(self)).mean(1)
        return pick(self.maps(seen), self.unit, 1, str(self)).mean((1, 2))


@entry("neuron")
@dataclass(frozen=True)
class Neuron(OfLayer):
    """A channel at one place; the centre (rows // 2, columns // 2) unless told otherwise."""

    each = ("unit",)
    layer: str
    unit: Units
    row: int | None = None
    column: int | None = None

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The value there."""
        return place(pick(self.maps(seen), self.unit, 1, str(self)), self.row, self.column)


@entry("unit")
@dataclass(frozen=True)
class Unit(OfLayer):
    """One output of a linear layer."""

    each = ("unit",)
    layer: str
    unit: Units

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Its value."""
        return pick(self.seen(seen, 2), self.unit, 1, str(self))


@entry("token")
@dataclass(frozen=True)
class Token(OfLayer):
    """One feature of one token of a transformer's layer `[batch, token, feature]`."""

    each = ("unit",)
    layer: str
    position: int
    unit: Units

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Its value."""
        tokens = self.seen(seen, 3)
        if not 0 <= self.position < tokens.shape[1]:
            raise BadOption(f"{self}: tokens run from 0 to {tokens.shape[1] - 1}.")
        return pick(tokens[:, self.position], self.unit, 1, str(self))


@entry("head")
@dataclass(frozen=True)
class Head(OfLayer):
    """Strength of one attention head: mean square of its slice of the features that go into the projection.

    The layer is the input of the projection, as in `blocks.3.attn.proj@input`, `heads` their number.
    """

    layer: str
    index: int
    heads: int

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean square over tokens and the head's features."""
        tokens = self.seen(seen, 3)
        if tokens.shape[2] % self.heads or not 0 <= self.index < self.heads:
            raise BadOption(f"{self}: {tokens.shape[2]} features do not split into {self.heads} heads with this one.")
        by_head = tokens.reshape(*tokens.shape[:2], self.heads, -1)
        return by_head[:, :, self.index].square().mean((1, 2))


@entry("deep_dream")
@dataclass(frozen=True)
class DeepDream(OfLayer):
    """Whatever a layer responds to, more of it: mean of its squares."""

    layer: str

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean square."""
        return self.seen(seen).square().flatten(1).mean(1)
