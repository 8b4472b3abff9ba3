"""What is left of a photograph at each layer."""

from collections.abc import Sequence
from typing import Any

from pellucid.contracts import Reference
from pellucid.feature_visualisation.catalogue import Inversion, TotalVariation
from pellucid.feature_visualisation.drawing import as_image
from pellucid.feature_visualisation.dream import Renderer, Visualisation, gathered
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe


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
    made.beside, made.columns = [(as_image(draw.seen(picture)[0]), "the photograph")], min(6, len(layers) + 1)
    return made


RECIPE = CompositeRecipe(
    inversion,
    title="Feature inversion",
    reference=Reference("Mahendran & Vedaldi, CVPR 2015, arXiv:1412.0035", "eq. 1-2"),
    caveat="Where a layer leaves things open, the search fills in what is easy to draw: a clear detail was known, but "
    "a blurred one need not be lost; more steps may still find it.",
)
