"""Deep dream on a photograph."""

from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional as F

from pellucid.contracts import Reference
from pellucid.errors import BadOption
from pellucid.feature_visualisation.layer_activations import takes
from pellucid.feature_visualisation.objectives import DeepDream
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation


def deep_dream(
    draw: Renderer, layer: str, picture: Any, *, octaves: int = 4, growth: float = 1.4, detail: float = 1.0
) -> Visualisation:
    """A photograph with more of whatever a layer sees in it, from coarse to fine.

    The photograph is shrunk; what the layer responds to is enlarged; the change is carried to the next larger size and
    added to the photograph there, whose own detail so comes back.

    Args:
        draw: renderer that draws with what the caller has settled.
        layer: path of the layer whose mean square is made large.
        picture: the photograph.
        octaves: sizes; the last is the whole one.
        growth: factor from one size to the next.
        detail: share of the change that is carried on; 0 begins anew at every size.

    Raises:
        BadOption: sizes that cannot be, or alpha.
    """
    if octaves < 1 or growth <= 1:
        raise BadOption(f"Expected one octave or more and a growth above 1, got {octaves} and {growth}.")
    if draw.changes.get("alpha"):
        raise BadOption("A deep dream is a whole photograph and has no transparent parts. Leave alpha out.")
    whole = draw.whole(picture)
    rows, columns = whole.shape[2:]
    sizes = [(round(rows / growth**k), round(columns / growth**k)) for k in reversed(range(octaves))]
    if min(sizes[0]) < 8:
        raise BadOption(
            f"{octaves} octaves begin at {sizes[0][0]} x {sizes[0][1]} pixels, too few. Take fewer octaves."
        )
    notes = []
    if not takes(draw.model, whole.shape[1], sizes[0], sizes[-1]):
        whole = draw.seen(picture)
        sizes = [(whole.shape[2], whole.shape[3])]
        notes.append("The network takes pictures of one size only, so there is one octave, of the part that it sees.")
    change = torch.zeros_like(whole)
    for size in sizes:
        own = F.interpolate(whole, size, mode="bilinear", antialias=True, align_corners=False)
        carried = F.interpolate(change, size, mode="bilinear", align_corners=False) * detail
        begin = (own + carried).clamp(0, 1)
        made = draw.at(size)(DeepDream(layer), start=begin, image="pixels", steps=20)
        change = made.pictures - own
        if made.stopped:
            break
    return replace(made, notes=(*made.notes, *notes))


RECIPE = CompositeRecipe(
    deep_dream,
    title="Deep dream",
    reference=Reference("Mordvintsev, Olah & Tyka, Inceptionism, research.google (2015)", "octaves"),
    caveat="It shows what a layer can be brought to see, not what it saw.",
)
