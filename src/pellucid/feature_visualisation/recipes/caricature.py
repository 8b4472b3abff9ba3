"""What layers see in a photograph, exaggerated."""

from collections.abc import Sequence
from typing import Any

from pellucid.contracts import Reference
from pellucid.feature_visualisation.objectives import Caricature, Objective
from pellucid.feature_visualisation.recipes.per_layer import draw_for_each_layer
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation


def caricature(draw: Renderer, layers: Sequence[str], picture: Any, *, power: float = 1.0) -> Visualisation:
    """Pictures found from noise that have more of everything that layers see in a photograph, in its place.

    For each layer, x climbs f(x) . f(x0) max(0.1, cos(f(x), f(x0)))^power.

    Args:
        draw: renderer that draws with what the caller has settled.
        layers: one picture for each.
        picture: the photograph x0, a path or sample.
        power: exponent of the cosine, by which the direction counts against the strength.
    """

    def objective(layer: str, name: str) -> Objective:
        return Caricature(layer, name, power)

    return draw_for_each_layer(draw, layers, picture, objective, transform="lucid", steps=150)


RECIPE = CompositeRecipe(
    caricature,
    title="Caricature",
    reference=Reference("Olah, lucid: caricature, 2018", "dot product with the photograph's activation"),
    caveat="It exaggerates what is strong in the layer, which need not be what the decision rests on.",
)
