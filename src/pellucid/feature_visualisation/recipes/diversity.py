"""Facets of one unit."""

from collections.abc import Sequence

from pellucid.contracts import Reference
from pellucid.errors import BadOption
from pellucid.feature_visualisation.objectives import Channel, Diversity
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation


def diversity(
    draw: Renderer, layer: str, units: Sequence[int], *, facets: int = 4, weight: float = 30.0
) -> Visualisation:
    """Several pictures of one unit, as unlike each other in texture as can be.

    Each picture k climbs channel_k - weight * mean over the others of cos(G_k, G_j), with G the Gram matrix of the
    layer's channels.

    Args:
        draw: renderer that draws with what the caller has settled.
        layer: path of the layer that the unit is in.
        units: one.
        facets: number of pictures.
        weight: weight of unlikeness, in the unit's own measure.

    Raises:
        BadOption: other than one unit.
    """
    if len(units) != 1 or facets < 2:
        raise BadOption(f"Diversity needs one unit and two facets or more, got {list(units)} and {facets}.")
    titles = [f"{layer} {units[0]}, facet {k + 1}" for k in range(facets)]
    return draw(Channel(layer, units[0]) - weight * Diversity(layer), count=facets, titles=titles)


RECIPE = CompositeRecipe(
    diversity,
    title="Facets of a unit",
    reference=Reference("doi:10.23915/distill.00007", "section on diversity"),
    caveat="What makes a picture unlike the others may have little to do with the unit: with a large weight the "
    "pictures show other things that the network can tell apart.",
)
