"""HiResCAM."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.numerics import CHANNEL


def hires_cam(activation: Maps, gradient: Maps, *, rectify: bool = True) -> Map:
    """Where a layer speaks for the target, position by position, without averaging the gradient.

    map = ReLU(sum_k g_kij A_kij). For a network that ends in linear layers right after this one the unrectified map
    adds up to the score, up to the bias.

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g, of the same shape.
        rectify: True keeps the positive evidence only, as the figures do; False keeps both signs.

    Returns:
        `[batch, row, column]` on the layer's grid.
    """
    evidence = (gradient * activation).sum(CHANNEL)
    return evidence.relu() if rectify else evidence


METHOD = Method(
    hires_cam,
    id="hires-cam",
    title="HiResCAM",
    reference=Reference("arXiv:2011.08891", "definition of HiResCAM"),
    caveat="Faithful only behind the layer's last nonlinearity; at early layers it is as noisy as the gradient.",
)
