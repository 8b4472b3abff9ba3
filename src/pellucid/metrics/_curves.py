"""What the metrics share that hide or show pixels in the order of the map."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, MetricResult, Perturbation, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import Fill
from pellucid.numerics import per_row, ranks


def equal_steps(total: float, steps: int, like: Tensor) -> Tensor:
    """How many of `total` have changed after each of `steps` equal steps, int64 `[steps + 1]`, from none to all."""
    return (torch.arange(steps + 1, device=like.device) * total / steps).round().long()


def in_order(values: Map, counts: Tensor, fill: Fill, *, shown: bool) -> Perturbation:
    """Variant i hides the first `counts[i]` pixels, the largest values first; with `shown`, all others."""
    place = ranks(values)

    def change(rows: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        first = place[samples] < per_row(counts[numbers], place)
        return fill.hide(rows, samples, (~first if shown else first)[:, None])

    return change


def curve_of(values: Map, probe: ScoreQueries, steps: int, fill: Fill, metric: str, *, shown: bool) -> MetricResult:
    """The probability while the map's pixels are hidden from the largest on, or shown, and the area under it.

    Raises:
        BadOption: no step, or more than there are pixels; the message names `metric`.
    """
    pixels = values[0].numel()
    if not 1 <= steps <= pixels:
        raise BadOption(f"Expected steps from 1 to {pixels}, the number of pixels, for {metric}, got {steps}.")
    counts = equal_steps(pixels, steps, values)
    curve = probe.probability(len(counts), in_order(values, counts, fill, shown=shown)).score
    axis = counts.to(curve) / counts[-1]
    return MetricResult(torch.trapezoid(curve, axis, dim=1), {"curve": curve}, tuple(axis.tolist()))
