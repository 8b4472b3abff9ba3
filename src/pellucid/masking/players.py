"""What can be absent from pictures, signals, volumes and rows of a table, and how they look without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from pellucid.contracts import Map, Maps, Perturbation, Regions
from pellucid.masking.fills import Fill


@dataclass(frozen=True, eq=False)
class Players:
    """The parts of a batch that are switched on and off, and what stands where one is off.

    Attributes:
        regions: the parts, as many for each sample of the batch.
        fill: what hides them.
    """

    regions: Regions
    fill: Fill

    @property
    def count(self) -> int:
        """How many each sample has."""
        return self.regions.count

    def change(self, present: Callable[[Tensor, Tensor], Tensor]) -> Perturbation:
        """Samples of which only some parts are there, made when they are asked for, a chunk at a time.

        Args:
            present: `present(samples, numbers)` gives who is there, bool `[n, player]`, in variant `numbers` `[n]` of
                samples `samples` `[n]`.
        """
        fill, regions = self.fill, self.regions

        def change(rows: Maps, samples: Tensor, numbers: Tensor) -> Maps:
            seen = present(samples, numbers).to(rows.device)
            return fill.hide(rows, samples, regions.hidden(seen, samples))

        return change

    def paint(self, values: Tensor) -> Map:
        """A map in which each place has the number of its player; `values` are `[batch, player]`."""
        return self.regions.paint(values)
