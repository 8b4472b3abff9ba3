"""One meaning of colour for a whole figure."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.figures.panel import Scales
from pellucid.pictures import ColourScale, scale


def scales_of(maps: Sequence[Tensor], how: Scales) -> list[ColourScale]:
    """The scale of each map.

    All run the same way from zero, as one bar of colours stands for all: where any map has evidence against, the
    colours of all go to both sides.

    Args:
        maps: signed maps of any shapes.
        how: `own` ends where each map's sizes end, by the rule of `pictures.scale`; `shared` by that of all together.
    """
    signed = any(scale(values).signed for values in maps)
    if how == "own":
        return [scale(values, signed=signed) for values in maps]
    every = scale(torch.cat([values.flatten().double() for values in maps]), signed=signed)
    return [every] * len(maps)


def meaning(scales: Sequence[ColourScale], how: Scales) -> str:
    """What the bar of colours must say, so that nobody reads more into it."""
    sides = "left of 0 against the target, right of 0 in favour" if scales[0].signed else "0 is none"
    beyond = "; values beyond look like the end" if any(each.clipped for each in scales) else ""
    invalid = " Green: not a number." if any(each.invalid for each in scales) else ""
    if how == "own":
        return (
            f"Evidence: {sides}. Each map has its own scale, which ends at the number below it{beyond}. "
            f"Colours compare places within a map, not maps.{invalid}"
        )
    return f"Evidence: {sides}. All maps share this scale{beyond}.{invalid}"


def end_of(scale: ColourScale) -> str:
    """A map's line on its own scale: what full colour stands for."""
    sign = "±" if scale.signed else ""
    return scale.note if scale.blank else f"full colour: {sign}{scale.high:.2g}"
