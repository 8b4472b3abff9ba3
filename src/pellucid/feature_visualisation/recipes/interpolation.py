"""From one unit to another."""

from collections.abc import Sequence
from dataclasses import replace

from pellucid.contracts import Reference
from pellucid.errors import BadOption
from pellucid.feature_visualisation.objectives import Alignment, Channel, Objective
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation


def interpolation(
    draw: Renderer, layer: str, units: Sequence[int], *, frames: int = 5, alignment: float = 0.1
) -> Visualisation:
    """Pictures that ask for ever less of one unit and ever more of another.

    Picture k of n climbs (1 - t) channel_a + t channel_b with t = k / (n - 1).

    Args:
        draw: renderer that draws with what the caller has settled.
        layer: path of the layer that both units are in.
        units: two.
        frames: number of pictures, both ends included.
        alignment: weight by which neighbours are held alike; 0 lets each go its own way.

    Raises:
        BadOption: other than two units.
    """
    if len(units) != 2 or frames < 2:
        raise BadOption(f"Interpolation needs two units and two frames or more, got {list(units)} and {frames}.")
    first, last = units
    shares = tuple(k / (frames - 1) for k in range(frames))
    wanted: Objective = tuple(1 - t for t in shares) * Channel(layer, first) + shares * Channel(layer, last)
    if alignment:
        wanted = wanted - alignment * Alignment(layer)
    titles = [f"{1 - t:.0%} of {first}, {t:.0%} of {last}" for t in shares]
    return replace(draw(wanted, count=frames, titles=titles), columns=frames)


RECIPE = CompositeRecipe(
    interpolation,
    title="From one unit to another",
    reference=Reference("doi:10.23915/distill.00007", "section on interaction between neurons"),
    caveat="Half of each need not look like either: what units ask for together is found anew, not mixed.",
)
