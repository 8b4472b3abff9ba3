"""What is left of a photograph at each layer."""

from collections.abc import Sequence
from typing import Any

from pellucid.contracts import Reference
from pellucid.feature_visualisation.objectives import Inversion, Objective, TotalVariation
from pellucid.feature_visualisation.recipes.per_layer import draw_for_each_layer
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation


def inversion(draw: Renderer, layers: Sequence[str], picture: Any, *, smooth: float = 2e-6) -> Visualisation:
    """Pictures found from noise that layers take for a photograph: what information is left of it there.

    For each layer, x climbs -|f(x) - f(x0)|^2 / |f(x0)|^2 - smooth * total variation(x).

    Args:
        draw: renderer that draws with what the caller has settled.
        layers: one picture for each.
        picture: the photograph x0, a path or sample.
        smooth: weight of the total variation.
    """

    def objective(layer: str, name: str) -> Objective:
        return Inversion(layer, name) - smooth * TotalVariation()

    return draw_for_each_layer(draw, layers, picture, objective, transform="none", steps=200)


RECIPE = CompositeRecipe(
    inversion,
    title="Feature inversion",
    reference=Reference("Mahendran & Vedaldi, CVPR 2015, arXiv:1412.0035", "eq. 1-2"),
    caveat="Where a layer leaves things open, the search fills in what is easy to draw: a clear detail was known, but "
    "a blurred one need not be lost; more steps may still find it.",
)
