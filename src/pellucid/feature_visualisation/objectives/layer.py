"""Base of objectives that look at a layer, and picking units and places of it.

Layers are `[batch, channel, row, column]` unless said. Those that hold the channels last, or tokens, are looked at as
such maps too, where their places are known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Site
from pellucid.errors import BadOption, BadSite
from pellucid.feature_visualisation.objectives.catalogue import Named
from pellucid.feature_visualisation.objectives.context import ObjectiveContext
from pellucid.feature_visualisation.objectives.expression import one_each

Units = int | tuple[int, ...]
"""A unit; or one for each picture of the batch."""


class OfLayer(Named):
    """Base of objectives that look at a layer."""

    layer: str

    @property
    def site(self) -> Site:
        """The layer."""
        return Site.parse(self.layer)

    def seen(self, seen: ObjectiveContext, *axes: int) -> Tensor:
        """What the layer gives, which must have one of these numbers of axes."""
        value = seen.layers[self.site]
        if axes and value.dim() not in axes:
            raise BadSite(f"{self} needs a layer with {axes[0]} axes; {self.layer} gives {list(value.shape)}.")
        return value

    def maps(self, seen: ObjectiveContext) -> Tensor:
        """What the layer gives as maps, `[batch, channel, row, column]`; of tokens those that are places."""
        return seen.as_maps(self.site, self.seen(seen, 4, 3))


def pick(value: Tensor, unit: Units, axis: int, where: str) -> Tensor:
    """One unit of each picture, along `axis`; views of one picture stand side by side."""
    units = torch.tensor(one_each(unit, len(value), where))
    if bool(((units < 0) | (units >= value.shape[axis])).any()):
        raise BadOption(f"{where}: units run from 0 to {value.shape[axis] - 1}.")
    chosen: Tensor = value.movedim(axis, 1)[torch.arange(len(value)), units.to(value.device)]
    return chosen


def place(maps: Tensor, row: int | None, column: int | None) -> Tensor:
    """The values `[batch, ...]` at a place of maps `[batch, ..., row, column]`."""
    rows, columns = maps.shape[-2:]
    row, column = rows // 2 if row is None else row, columns // 2 if column is None else column
    if not (0 <= row < rows and 0 <= column < columns):
        raise BadOption(f"Place {row}, {column} lies outside of {rows} rows and {columns} columns.")
    return maps[..., row, column]
