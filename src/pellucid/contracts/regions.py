"""Regions of pictures, to be switched on and off."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.contracts.axes import Map

DEFAULT = 50
"""Superpixels where nothing else is said."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The same number of regions in each picture: the players that methods switch on and off.

    Attributes:
        labels: which region each place belongs to, from 0, int64 `[batch, *axes]`, or each value, `[batch, channel,
            *axes]`.
        count: how many regions each picture has.
        notes: what the reader must know about how they were cut.
        by_channel: True if the labels have an axis of channels.
    """

    labels: Tensor
    count: int
    notes: tuple[str, ...] = ()
    by_channel: bool = False

    @property
    def of_values(self) -> Tensor:
        """The labels beside the values of the pictures, `[batch, channel or 1, *axes]`."""
        return self.labels if self.by_channel else self.labels[:, None]

    def hidden(self, shown: Tensor, samples: Tensor) -> Tensor:
        """The places of what is not shown, `[n, channel or 1, *axes]`.

        Args:
            shown: which regions are seen, bool `[n, region]`.
            samples: which picture each row is of, `[n]`.
        """
        labels = self.of_values[samples]
        return ~shown.gather(1, labels.flatten(1)).reshape(labels.shape)

    def boxes(self) -> Tensor:
        """The box around each region: where it begins along each axis, and where it ends, `[batch, region, 2 axes]`."""
        batch, _, *size = self.of_values.shape
        flat, axes = self.labels.flatten(1), len(size)
        found = self.labels.new_zeros(batch, self.count, 2 * axes)
        for k, length in enumerate(size):
            place = torch.arange(length, device=self.labels.device).reshape(-1, *(1,) * (axes - 1 - k))
            spread = place.expand(self.of_values.shape[1:]).reshape(1, -1).expand(batch, -1)
            found[:, :, k] = found.new_full(found.shape[:2], length).scatter_reduce(1, flat, spread, "amin")
            found[:, :, axes + k] = found[:, :, axes + k].scatter_reduce(1, flat, spread + 1, "amax")
        return found

    def paint(self, values: Tensor) -> Map:
        """A map in which each place, or value, has the number of its region; `values` are `[batch, region]`."""
        return values.gather(1, self.labels.flatten(1)).reshape(self.labels.shape)
