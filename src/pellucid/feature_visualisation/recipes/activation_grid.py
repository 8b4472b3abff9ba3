"""What a layer sees at each place of a photograph."""

from dataclasses import replace
from typing import Any

from pellucid.contracts import Reference
from pellucid.errors import BadOption
from pellucid.feature_visualisation.drawing import as_image
from pellucid.feature_visualisation.objectives import Spot
from pellucid.feature_visualisation.photograph import name_of
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation


def activation_grid(
    draw: Renderer, layer: str, picture: Any, *, icon: int = 96, most: int = 10, power: float = 1.0
) -> Visualisation:
    """An icon for each place of a layer: a picture of what the layer gives there for a photograph.

    Each icon climbs a . v max(0.1, cos(a, v))^power, mean over its own places a, with v the place's values.

    Args:
        draw: renderer that draws with what the caller has settled.
        layer: path of a layer with a grid.
        picture: the photograph, a path or sample.
        icon: side of an icon in pixels, where the network takes pictures of other sizes than its own.
        most: icons along a side; of finer grids every second, third, ... place is drawn.
        power: exponent of the cosine, by which the direction counts against the strength.

    Raises:
        BadOption: no icons are wanted.
    """
    if most < 1 or icon < 8:
        raise BadOption(f"Expected one icon or more along a side, of 8 pixels at least, got {most} of {icon}.")
    seen = draw.seen(picture)
    rows, columns = draw.maps(layer, seen).shape[2:]
    step = max(-(-rows // most), -(-columns // most))
    places = [(row, column) for row in range(step // 2, rows, step) for column in range(step // 2, columns, step)]
    down, across = zip(*places, strict=True)
    made = draw.at(draw.small(icon))(
        Spot(layer, name_of(picture), down, across, power, draw.fed()[1]),
        count=len(places),
        titles=[f"row {row}, column {column}" for row, column in places],
        steps=100,
    )
    left_out = (f"Of {rows} x {columns} places every {step} along both sides are drawn.",) if step > 1 else ()
    return replace(
        made,
        columns=len(set(across)),
        mosaic=True,
        beside=((as_image(seen[0]), "the photograph"),),
        notes=(*made.notes, *left_out),
    )


RECIPE = CompositeRecipe(
    activation_grid,
    title="Activation grid",
    reference=Reference("doi:10.23915/distill.00010", "activation grids"),
    caveat="Every icon is drawn at full strength, however weak the layer's answer is at its place.",
)
