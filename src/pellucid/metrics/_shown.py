"""Pictures seen through maps."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.errors import BadOption
from pellucid.fills import Fill
from pellucid.judging import Asking
from pellucid.numerics import safe_divide
from pellucid.types import Map, Maps


def behind_the_map(metric: str, values: Map, fill: Fill, probe: Asking) -> tuple[Tensor, Tensor]:
    """The probability for each picture, and for it seen through its map of 0 (hidden) to 1, both `[batch]`.

    Raises:
        BadOption: a fill that depends on what is hidden, and cannot show a pixel by half.
    """
    cover = fill.cover
    if cover is None:
        raise BadOption(f"{metric} shows pixels by degrees, which the baseline 'inpaint' cannot. Choose another.")
    positive = values.clamp(min=0)
    share = safe_divide(positive, positive.amax((1, 2), keepdim=True).expand_as(positive)).to(fill.image.dtype)

    def show(rows: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        seen = share[samples].where(numbers[:, None, None] > 0, torch.ones_like(share[:1]))
        return torch.lerp(cover[samples], rows, seen[:, None])

    both = probe.probability(2, show).score
    return both[:, 0], both[:, 1]
