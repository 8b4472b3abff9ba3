"""What the metrics share that hide or show pixels in the order of the map."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.errors import BadOption
from pellucid.fills import Fill
from pellucid.judging import Asking, Judgement
from pellucid.types import Map, Maps


def ranks(values: Map) -> Tensor:
    """The place of each pixel, from 0 for the largest value; ties in reading order. Int64 `[batch, row, column]`."""
    order = values.flatten(1).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view_as(values)


def counts_of(values: Map, steps: int, metric: str) -> Tensor:
    """How many pixels have changed after each of `steps` equal steps, int64 `[steps + 1]`, from none to all.

    Raises:
        BadOption: no step, or more than there are pixels; the message names `metric`.
    """
    pixels = values[0].numel()
    if not 1 <= steps <= pixels:
        raise BadOption(f"Expected steps from 1 to {pixels}, the number of pixels, for {metric}, got {steps}.")
    return (torch.arange(steps + 1, device=values.device) * pixels / steps).round().long()


def curve_of(values: Map, probe: Asking, steps: int, fill: Fill, metric: str, *, shown: bool) -> Judgement:
    """The probability while the map's pixels are hidden from the largest on, or shown, and the area under it."""
    place, counts = ranks(values), counts_of(values, steps, metric)

    def change(rows: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        first = place[samples] < counts[numbers, None, None]
        return fill.hide(rows, samples, (~first if shown else first)[:, None])

    curve = probe.probability(len(counts), change).score
    axis = counts.to(curve) / counts[-1]
    return Judgement(torch.trapezoid(curve, axis, dim=1), {"curve": curve}, tuple(axis.tolist()))
