"""Groups of channels in a photograph."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Reference
from pellucid.errors import BadOption
from pellucid.feature_visualisation.drawing import as_image
from pellucid.feature_visualisation.factorisation import channel_groups
from pellucid.feature_visualisation.objectives import ChannelGroup
from pellucid.feature_visualisation.photograph import name_of
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation
from pellucid.numerics import resize

COLOURS = {
    "red": (0.90, 0.10, 0.10),
    "green": (0.10, 0.75, 0.15),
    "blue": (0.15, 0.30, 0.95),
    "yellow": (0.95, 0.85, 0.10),
    "magenta": (0.90, 0.15, 0.85),
    "cyan": (0.10, 0.85, 0.90),
    "orange": (0.98, 0.55, 0.05),
    "violet": (0.50, 0.15, 0.75),
}


def neuron_groups(draw: Renderer, layer: str, picture: Any, *, groups: int = 4, power: float = 1.0) -> Visualisation:
    """What excites a layer in a photograph, as a few groups of channels: where each is, in colour, and its picture.

    A ~ sum_k where_k direction_k by non-negative factorisation; picture k climbs along direction k.

    Args:
        draw: renderer that draws with what the caller has settled.
        layer: path of a layer with a grid.
        picture: the photograph, a path or sample.
        groups: number of groups, up to 8.
        power: exponent of the cosine, by which the direction counts against the strength.

    Raises:
        BadOption: fewer than one or more than eight groups, or more than the layer has places.
    """
    if not 1 <= groups <= len(COLOURS):
        raise BadOption(f"Expected 1 to {len(COLOURS)} groups, got {groups}.")
    seen = draw.seen(picture)
    where, _ = channel_groups(draw.maps(layer, seen)[0], groups)
    names = list(COLOURS)[:groups]
    shares = [float(each.sum() / where.sum()) for each in where]
    made = draw(
        ChannelGroup(layer, name_of(picture), tuple(range(groups)), groups, power, draw.fed()[1]),
        count=groups,
        titles=[f"{name}: {share:.0%}" for name, share in zip(names, shares, strict=True)],
        steps=150,
    )
    beside = ((as_image(seen[0]), "the photograph"), (as_image(coloured(seen[0], where)), layer))
    return replace(made, beside=beside, columns=groups + 2)


def coloured(picture: Tensor, where: Tensor) -> Tensor:
    """The photograph in grey with each group in its colour, as strong as it is there; both `[., row, column]`."""
    grey = picture.mean(0, keepdim=True).expand(3, -1, -1)
    grown = resize(where[None], (picture.shape[1], picture.shape[2]))[0].clamp(min=0)
    palette = torch.tensor(list(COLOURS.values()))[: len(where)]
    total = grown.sum(0)
    colour = torch.einsum("khw,kc->chw", grown, palette) / total.clamp(min=1e-12)
    strength = 0.75 * (total / total.quantile(0.995).clamp(min=1e-12)).clamp(max=1)
    return grey * (1 - strength) + colour * strength


RECIPE = CompositeRecipe(
    neuron_groups,
    title="Groups of neurons",
    reference=Reference("doi:10.23915/distill.00010", "neuron groups"),
    caveat="Another number of groups cuts the layer up differently; none of them is the right one.",
)
