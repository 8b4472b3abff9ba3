"""How a network is fed and run: every pass goes through here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pellucid.capture.layout import may_be_last
from pellucid.types import Model


def input_type(model: Model, image: Tensor) -> torch.dtype:
    """The number type that the model takes: that of its weights, or the picture's own if it has none."""
    return next((p.dtype for p in model.module.parameters() if p.is_floating_point()), image.dtype)


def feed(model: Model, image: Tensor) -> Tensor:
    """A copy of the input, as networks may write into it, in the model's own type and the faster order of memory.

    Must run inside `guarded` and outside any `Tape`: the first call for a model runs it twice.
    """
    kind = input_type(model, image)
    fits = image.ndim == 4 and image.device.type == "cpu"
    if fits and may_be_last(model.module, image, kind, lambda given: forward(model, given)):
        return image.detach().to(kind, copy=True, memory_format=torch.channels_last)
    return image.detach().to(kind, copy=True)


def forward(model: Model, given: Tensor) -> Any:
    """What the network returns for what `feed` gave."""
    return model.module(given)
