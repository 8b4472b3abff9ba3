"""Objectives that point into a direction of a layer's channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from pellucid.capture.differentiable import gradient
from pellucid.errors import BadOption, BadSite
from pellucid.feature_visualisation.objectives.catalogue import entry
from pellucid.feature_visualisation.objectives.context import ObjectiveContext
from pellucid.feature_visualisation.objectives.expression import Objective, one_each
from pellucid.feature_visualisation.objectives.layer import OfLayer, place


@entry("direction")
@dataclass(frozen=True)
class Direction(OfLayer):
    """How far a layer points into a direction of its channels: dot times max(0.1, cosine)^power, at all places."""

    layer: str
    vector: tuple[float, ...]
    power: float = 0.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over places."""
        return along(self.maps(seen), self._vector(seen), self.power).mean((1, 2))

    def _vector(self, seen: ObjectiveContext) -> Tensor:
        value = self.maps(seen)
        if len(self.vector) != value.shape[1]:
            raise BadOption(
                f"{self.name} has {len(self.vector)} numbers for {value.shape[1]} channels of {self.layer}."
            )
        return value.new_tensor(self.vector)


@entry("direction_neuron")
@dataclass(frozen=True)
class DirectionNeuron(Direction):
    """The same at one place; the centre unless told otherwise."""

    row: int | None = None
    column: int | None = None

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The value there."""
        return place(along(self.maps(seen), self._vector(seen), self.power), self.row, self.column)


def along(maps: Tensor, vector: Tensor, power: float) -> Tensor:
    """Dot product with a direction at every place times max(0.1, cosine)^power, `[batch, row, column]`."""
    return along_each(maps, vector.expand(len(maps), -1), power)


def along_each(maps: Tensor, directions: Tensor, power: float) -> Tensor:
    """The same with a direction for each picture, `[batch, channel]`."""
    dot = torch.einsum("bchw,bc->bhw", maps, directions)
    if not power:
        return dot
    cosine = dot / (maps.norm(dim=1) * directions.norm(dim=1)[:, None, None]).clamp(min=1e-4)
    return dot * torch.pow(cosine.clamp(min=0.1), power)


@entry("stored")
@dataclass(frozen=True)
class Stored(OfLayer):
    """A direction kept in a .safetensors file, anywhere: dot product times max(0.1, cosine)^power.

    The file holds `directions`, `[index, channel]`.
    """

    each = ("index",)
    layer: str
    file: str
    index: int | tuple[int, ...]
    power: float = 1.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over places."""
        value = self.maps(seen)
        if self.file not in seen.kept:
            seen.kept[self.file] = self._read()
        directions = seen.kept[self.file]
        indices = one_each(self.index, len(value), str(self))
        if directions.shape[1] != value.shape[1] or not all(0 <= k < len(directions) for k in indices):
            raise BadOption(
                f"{self.file!r} holds {len(directions)} directions of {directions.shape[1]} channels, which do not fit "
                f"{self.layer} with {value.shape[1]} or the index."
            )
        return along_each(value, directions[indices].to(value), self.power).mean((1, 2))

    def _read(self) -> Tensor:
        try:
            return load(Path(self.file).read_bytes())["directions"]  # by its bytes: names need not be UTF-8
        except (OSError, SafetensorError, KeyError) as error:
            raise BadOption(f"{self.file!r} holds no directions: {error}.") from error


@entry("facet")
@dataclass(frozen=True)
class Facet(OfLayer):
    """A unit, and of all that excites it, what points into a direction at an earlier layer.

    f(x) + w^T (g(x) * df/dg) with g the earlier layer and the gradient held fixed: Goh et al., "Multimodal neurons in
    artificial neural networks", Distill (2021), faceted feature visualisation.
    """

    layer: str
    vector: tuple[float, ...]
    of: Objective

    @property
    def parts(self) -> tuple[Objective, ...]:
        """The unit."""
        return (self.of,)

    def value(self, seen: ObjectiveContext) -> Tensor:
        """The unit's value plus the facet's."""
        early, main = self.maps(seen), self.of.value(seen)
        if len(self.vector) != early.shape[1]:
            raise BadOption(f"facet has {len(self.vector)} numbers for {early.shape[1]} channels of {self.layer}.")
        slope = gradient(main, seen.edges[self.site]) if self.site in seen.edges else None
        if slope is None:
            raise BadSite(f"{self.of} does not depend on {self.layer}. Name a layer before it.")
        return main + torch.einsum("bchw,c->b", early * seen.as_maps(self.site, slope), early.new_tensor(self.vector))
