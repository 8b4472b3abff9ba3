"""What recipes have in common that draw one picture for each layer, beside the photograph that it is about."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pellucid.feature_visualisation.drawing import as_image
from pellucid.feature_visualisation.objectives import Objective
from pellucid.feature_visualisation.photograph import name_of
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation, gathered

_COLUMNS = 6


def draw_for_each_layer(
    draw: Renderer, layers: Sequence[str], picture: Any, objective: Callable[[str, str], Objective], **own: Any
) -> Visualisation:
    """One picture for each layer.

    Args:
        draw: renderer that draws with what the caller has settled.
        layers: paths of the layers.
        picture: path or sample of the photograph.
        objective: function of a layer and the photograph's name that gives what is made large there.
        **own: fields of `Recipe` that are taken where the caller has not chosen.

    Raises:
        BadOption: the photograph has no name.
    """
    name = name_of(picture)
    made = gathered(draw(objective(layer, name), titles=[layer], **own) for layer in layers)
    beside = ((as_image(draw.seen(picture)[0]), "the photograph"),)
    return replace(made, beside=beside, columns=min(_COLUMNS, len(layers) + 1))
