"""Maps of slightly changed pictures, as far as they are from the map itself."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, Noise, Perturbation, Reattribution
from pellucid.errors import BadOption
from pellucid.numerics import per_row


def nearby(metric: str, rng: Noise, samples: int, radius: float) -> Perturbation:
    """Variants with uniform noise of up to `radius` times each picture's range on every value.

    Raises:
        BadOption: no sample, or no radius; the message names `metric`.
    """
    if samples < 1 or radius <= 0:
        raise BadOption(f"Expected samples >= 1 and radius > 0 for {metric}, got {samples} and {radius}.")

    def disturb(rows: Maps, _: Tensor, numbers: Tensor) -> Maps:
        flat = rows.flatten(1)
        reach = radius * (flat.amax(1) - flat.amin(1))
        return rows + per_row(reach, rows) * (2 * rng.uniform(numbers, rows) - 1)

    return disturb


def per_neighbour(
    values: Map, explain: Reattribution, samples: int, change: Perturbation
) -> Iterator[tuple[Tensor, Tensor, Map, Map]]:
    """(rows `[n]`, variants `[n]`, the map itself `[n, *axes]`, that of the variant), in float64."""
    for rows, numbers, maps in explain.changed(samples, change):
        yield rows, numbers, values[rows].double(), maps.double()


def distances(values: Map, explain: Reattribution, samples: int, change: Perturbation) -> Tensor:
    """How far maps of variants are from the map, as a share of its length, `[batch, samples]`; NaN for empty ones."""
    found = torch.full((len(values), samples), torch.nan, dtype=torch.float64, device=values.device)
    for rows, numbers, before, after in per_neighbour(values, explain, samples, change):
        found[rows, numbers] = (after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1)
    return found.where(values.flatten(1).any(1)[:, None], torch.nan)
