"""What is left of a photograph at each layer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pellucid.contracts import Reference
from pellucid.feature_visualisation.drawing import as_image
from pellucid.feature_visualisation.objectives import Inversion, TotalVariation
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation, gathered


def inversion(draw: Renderer, layers: Sequence[str], picture: Any, *, smooth: float = 2e-6) -> Visualisation:
    """Pictures found from noise that layers take for a photograph: what information is left of it there.

    For each layer, x climbs -|f(x) - f(x0)|^2 / |f(x0)|^2 - smooth * total variation(x).

    Args:
        draw: makes dreams.
        layers: one picture for each.
        picture: the photograph x0, a path or sample.
        smooth: weight of the total variation.
    """
    made = gathered(
        draw(Inversion(layer, str(picture)) - smooth * TotalVariation(), titles=[layer], transform="none", steps=200)
        for layer in layers
    )
    beside = ((as_image(draw.seen(picture)[0]), "the photograph"),)
    return replace(made, beside=beside, columns=min(6, len(layers) + 1))


RECIPE = CompositeRecipe(
    inversion,
    title="Feature inversion",
    reference=Reference("Mahendran & Vedaldi, CVPR 2015, arXiv:1412.0035", "eq. 1-2"),
    caveat="Where a layer leaves things open, the search fills in what is easy to draw: a clear detail was known, but "
    "a blurred one need not be lost; more steps may still find it.",
)
