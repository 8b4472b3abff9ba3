"""Pictures seen through maps."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Map, Maps, ScoreQueries
from pellucid.errors import BadOption
from pellucid.masking import Fill
from pellucid.numerics import per_row, safe_divide

NOTHING = (
    "A map without positive values shows nothing: its number is that of the hidden picture, and may be the best of all."
)


def behind_the_map(metric: str, values: Map, fill: Fill, probe: ScoreQueries) -> tuple[Tensor, Tensor]:
    """The probability for each picture, and for it seen through its map of 0 (hidden) to 1, both `[batch]`.

    Raises:
        BadOption: a fill that depends on what is hidden, and cannot show a pixel by half.
    """
    cover = fill.cover
    if cover is None:
        raise BadOption(f"{metric} shows pixels by degrees, which the baseline 'inpaint' cannot. Choose another.")
    positive = values.clamp(min=0)
    share = safe_divide(positive, positive.amax(tuple(range(1, values.ndim)), keepdim=True).expand_as(positive)).to(
        fill.image.dtype
    )

    def ends(rows: Maps, samples: Tensor, numbers: Tensor) -> Maps:
        return torch.where(per_row(numbers > 0, rows), cover[samples], rows)

    def show(rows: Maps, samples: Tensor, _: Tensor) -> Maps:
        return torch.lerp(cover[samples], rows, share[samples][:, None])

    # the picture with nothing of it seen is asked too, so that an answer that never changes is noticed
    whole = probe.probability(2, ends, shared=True).score[:, 0]
    return whole, probe.probability(1, show).score[:, 0]


def nothing_shown(values: Map) -> tuple[str, ...]:
    """A note on maps that hide the whole picture."""
    return (NOTHING,) if bool((values.flatten(1).amax(1) <= 0).any()) else ()
