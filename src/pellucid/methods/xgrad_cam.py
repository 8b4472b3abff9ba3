"""XGrad-CAM."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.numerics import CHANNEL, places, safe_divide


def xgrad_cam(activation: Maps, gradient: Maps) -> Map:
    """Grad-CAM with the gradient averaged where the channel is active.

    w_k = sum_ij g_kij A_kij / sum_ij A_kij; map = ReLU(sum_k w_k A_k). A channel whose activation sums to 0 has no
    defined weight and gets none (the authors add 1e-6 to the divisor instead).

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g, of the same shape.

    Returns:
        `[batch, row, column]` on the layer's grid.
    """
    total = activation.sum(places(activation), keepdim=True)
    weights = safe_divide((gradient * activation).sum(places(activation), keepdim=True), total)
    return (weights * activation).sum(CHANNEL).relu()


METHOD = Method(
    xgrad_cam,
    id="xgrad-cam",
    title="XGrad-CAM",
    reference=Reference("arXiv:2008.02312", "definition of XGrad-CAM"),
    caveat="Meant for layers behind a ReLU; where a channel's positive and negative values cancel, it explodes.",
)
