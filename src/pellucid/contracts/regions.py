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
    """The same number of regions in each picture.

    Attributes:
        labels: which region each pixel belongs to, from 0, int64 `[batch, row, column]`.
        count: how many regions each picture has.
        notes: what the reader must know about how they were cut.
    """

    labels: Tensor
    count: int
    notes: tuple[str, ...] = ()

    def hidden(self, shown: Tensor, samples: Tensor) -> Tensor:
        """The pixels of what is not shown, `[n, 1, row, column]`.

        Args:
            shown: which regions are seen, bool `[n, region]`.
            samples: which picture each row is of, `[n]`.
        """
        labels = self.labels[samples]
        return ~shown.gather(1, labels.flatten(1)).reshape(labels.shape)[:, None]

    def boxes(self) -> Tensor:
        """The box around each region: first row and column, and those after the last, `[batch, region, 4]`."""
        batch, rows, columns = self.labels.shape
        found = self.labels.new_zeros(batch, self.count, 4)
        for k, length in enumerate((rows, columns)):
            place = torch.arange(length, device=self.labels.device)
            spread = (place[:, None] if k == 0 else place[None]).expand(rows, columns).reshape(1, -1).expand(batch, -1)
            flat = self.labels.flatten(1)
            found[:, :, k] = found.new_full(found.shape[:2], length).scatter_reduce(1, flat, spread, "amin")
            found[:, :, 2 + k] = found[:, :, 2 + k].scatter_reduce(1, flat, spread + 1, "amax")
        return found

    def paint(self, values: Tensor) -> Map:
        """A map in which each pixel has the value of its region; values are `[batch, region]`."""
        return values.gather(1, self.labels.flatten(1)).reshape(self.labels.shape)
