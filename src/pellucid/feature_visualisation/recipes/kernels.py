"""The pattern that each kernel of a layer prefers."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from pellucid.contracts import Reference
from pellucid.errors import BadOption
from pellucid.feature_visualisation.layer_activations import layer_field
from pellucid.feature_visualisation.objectives import Neuron
from pellucid.feature_visualisation.recipes.registry import CompositeRecipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation


def kernels(draw: Renderer, layer: str, units: Sequence[int] = ()) -> Visualisation:
    """The pattern that each kernel of a layer prefers, grown from noise at one place and cut to what it can see.

    Each picture climbs one channel at the centre of the layer; what lies outside of its receptive field is cut off.

    Args:
        draw: renderer that draws with what the caller has settled.
        layer: a convolution, or any layer with a grid.
        units: numbers of the channels; all by default.

    Raises:
        BadOption: the layer does not see the picture.
    """
    preprocess, (rows, columns) = draw.fed()
    grey = torch.full((1, len(preprocess.mean), rows, columns), 0.5)
    shape, field = layer_field(draw.model, layer, grey, preprocess)
    if field is None:
        raise BadOption(f"Nothing of the picture reaches {layer}.")
    chosen = tuple(units) or tuple(range(shape[1]))
    made = draw(Neuron(layer, chosen), count=len(chosen), titles=list(map(str, chosen)), transform="none", steps=60)
    box = field.box(shape[2] // 2, shape[3] // 2)
    if len(box) == 2 and box[0][1] >= box[0][0] and box[1][1] >= box[1][0]:
        (top, bottom), (left, right) = box
        cut = (..., slice(top, bottom + 1), slice(left, right + 1))
        made = replace(
            made,
            pictures=made.pictures[cut],
            alpha=None if made.alpha is None else made.alpha[cut],
            notes=(
                *made.notes,
                f"Pictures are cut to the receptive field, {bottom - top + 1} x {right - left + 1} pixels.",
            ),
        )
    return made


RECIPE = CompositeRecipe(
    kernels,
    title="Preferred patterns of kernels",
    reference=Reference(
        "Chollet, How convolutional neural networks see the world (2016)", "gradient ascent from grey noise"
    ),
    caveat="Brightness and contrast are driven to their limits, which no photograph does.",
)
