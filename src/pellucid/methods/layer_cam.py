"""LayerCAM."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.numerics import CHANNEL


def layer_cam(activation: Maps, gradient: Maps) -> Map:
    """Where a layer is active and more of it would help, position by position; usable at early layers.

    map = ReLU(sum_k ReLU(g_kij) A_kij).

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g, of the same shape.

    Returns:
        `[batch, row, column]` on the layer's grid, never negative.
    """
    return (gradient.relu() * activation).sum(CHANNEL).relu()


METHOD = Method(
    layer_cam,
    id="layer-cam",
    title="LayerCAM",
    reference=Reference("Jiang et al., IEEE TIP 2021, doi:10.1109/TIP.2021.3089943", "definition of LayerCAM"),
    caveat="Drops all evidence against the class, so a map never looks empty even when the model is unsure.",
)
