"""What layers see in a photograph, exaggerated."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pellucid.contracts import Reference
from pellucid.feature_visualisation.drawing import as_image
from pellucid.feature_visualisation.objectives import Caricature
from pellucid.feature_visualisation.photograph import name_of
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation, gathered


def caricature(draw: Renderer, layers: Sequence[str], picture: Any, *, power: float = 1.0) -> Visualisation:
    """Pictures found from noise that have more of everything that layers see in a photograph, in its place.

    For each layer, x climbs f(x) . f(x0) max(0.1, cos(f(x), f(x0)))^power.

    Args:
        draw: makes dreams.
        layers: one picture for each.
        picture: the photograph x0, a path or sample.
        power: how much the direction counts against the strength.
    """
    made = gathered(
        draw(Caricature(layer, name_of(picture), power), titles=[layer], transform="lucid", steps=150)
        for layer in layers
    )
    beside = ((as_image(draw.seen(picture)[0]), "the photograph"),)
    return replace(made, beside=beside, columns=min(6, len(layers) + 1))


RECIPE = CompositeRecipe(
    caricature,
    title="Caricature",
    reference=Reference("Olah, lucid: caricature, 2018", "dot product with the photograph's activation"),
    caveat="It exaggerates what is strong in the layer, which need not be what the decision rests on.",
)
