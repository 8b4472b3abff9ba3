"""The mask that a network itself draws, beside what it answers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pellucid.capture.layers import footprint
from pellucid.capture.meter import ProgressMeter
from pellucid.capture.running import Budget, feed, forward, unrecorded
from pellucid.contracts import Map, Maps, Model
from pellucid.errors import Refused
from pellucid.numerics import full_precision


def own_mask(model: Model, image: Maps, budget: Budget, meter: ProgressMeter) -> Map | None:
    """What the network draws for each picture, `[batch, row, column]`; None when it draws nothing.

    Raises:
        Refused: what it draws is no mask of the pictures' size.
    """
    if model.mask is None:
        return None
    asked = replace(model, call=model.mask)

    def run(start: int, stop: int) -> Map:
        samples = torch.arange(start, stop, device=image.device)
        given = feed(model, image[start:stop])
        with unrecorded(model.module):
            drawn = forward(asked, given, samples)
        size = [len(samples), *image.shape[2:]]
        if not isinstance(drawn, Tensor) or list(drawn.shape) != size:
            got = list(drawn.shape) if isinstance(drawn, Tensor) else type(drawn).__name__
            raise Refused(f"Expected a mask {size} of {model.name}'s own, got {got}. Use another method.")
        meter.forward += len(samples)
        meter.tick(stop, len(image))
        return full_precision(drawn).clone()

    row_bytes = 4 * footprint(model, image).largest + 32 * image[0].nbytes
    return torch.cat([*budget.chunks(len(image), row_bytes, run)])
