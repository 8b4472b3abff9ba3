"""Objectives that look at what a photograph is, or gives at a layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.errors import BadOption
from pellucid.feature_visualisation.factorisation import channel_groups
from pellucid.feature_visualisation.objectives.catalogue import Named, entry
from pellucid.feature_visualisation.objectives.context import ObjectiveContext
from pellucid.feature_visualisation.objectives.directions import along_each
from pellucid.feature_visualisation.objectives.expression import one_each
from pellucid.feature_visualisation.objectives.layer import OfLayer, place


@entry("difference")
@dataclass(frozen=True)
class Difference(Named):
    """Mean squared difference from a photograph. Subtract it to stay near."""

    picture: str

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over channels and places."""
        return (seen.pictures - seen.picture(self.picture)).square().mean((1, 2, 3))


@entry("inversion")
@dataclass(frozen=True)
class Inversion(OfLayer):
    """Minus the squared distance from what a layer gives for a photograph, as a share: what a layer still knows of it.

    Mahendran and Vedaldi, "Understanding deep image representations by inverting them", CVPR (2015), eq. 2.
    """

    layer: str
    picture: str

    def value(self, seen: ObjectiveContext) -> Tensor:
        """-|f(x) - f(x0)|^2 / |f(x0)|^2; 0 at best."""
        goal = seen.of_picture(self.picture, self.site)
        away = (self.seen(seen) - goal).square().flatten(1).sum(1)
        return -away / goal.square().sum().clamp(min=1e-12)


@entry("caricature")
@dataclass(frozen=True)
class Caricature(OfLayer):
    """What a layer sees in a photograph, exaggerated: dot product with it times max(0.1, cosine)^power."""

    layer: str
    picture: str
    power: float = 1.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels, mean over places."""
        goal, value = seen.of_picture(self.picture, self.site).flatten(1), self.seen(seen).flatten(1)
        dot = (value * goal).sum(1)
        cosine = dot / (value.norm(dim=1) * goal.norm()).clamp(min=1e-4)
        return dot / value.shape[1] * torch.pow(cosine.clamp(min=0.1), self.power)


@entry("spot")
@dataclass(frozen=True)
class Spot(OfLayer):
    """What a layer gives at one place of a photograph, anywhere: dot product times max(0.1, cosine)^power.

    The photograph is looked at in rows and columns of `size`, or else of the pictures that are drawn.
    """

    each = ("row", "column")
    layer: str
    picture: str
    row: int | tuple[int, ...]
    column: int | tuple[int, ...]
    power: float = 1.0
    size: tuple[int, int] | None = None

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over places."""
        goal, value = seen.maps_of_picture(self.picture, self.site, self.size)[0], self.maps(seen)
        rows, columns = (one_each(each, len(value), str(self)) for each in (self.row, self.column))
        directions = torch.stack([place(goal, r, c) for r, c in zip(rows, columns, strict=True)])
        return along_each(value, directions, self.power).mean((1, 2))


@entry("group")
@dataclass(frozen=True)
class ChannelGroup(OfLayer):
    """A group of channels that a photograph excites together: dot product times max(0.1, cosine)^power.

    Group `index` of `of`, from 0, by non-negative factorisation of what the layer gives for the photograph.
    """

    each = ("index",)
    layer: str
    picture: str
    index: int | tuple[int, ...]
    of: int
    power: float = 1.0
    size: tuple[int, int] | None = None

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over places."""
        value = self.maps(seen)
        key = ("groups", self.picture, self.layer, self.of, self.size)
        if key not in seen.kept:
            seen.kept[key] = channel_groups(seen.maps_of_picture(self.picture, self.site, self.size)[0], self.of)[1]
        indices = one_each(self.index, len(value), str(self))
        if not all(0 <= k < self.of for k in indices):
            raise BadOption(f"{self}: groups run from 0 to {self.of - 1}.")
        return along_each(value, seen.kept[key][indices].to(value), self.power).mean((1, 2))
