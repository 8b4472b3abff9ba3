"""Grad-CAM."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.numerics import CHANNEL, places


def grad_cam(activation: Maps, gradient: Maps, *, rectify: bool = True) -> Map:
    """Where a layer's channels speak for the target, each weighed by its mean gradient.

    map = ReLU(sum_k mean_ij(g_kij) A_k), with A the activation and g the score's gradient at the layer.

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g, of the same shape.
        rectify: True keeps the positive evidence only, as in the paper; False keeps the evidence against too.

    Returns:
        `[batch, row, column]` on the layer's grid.
    """
    weights = gradient.mean(places(gradient), keepdim=True)
    evidence = (weights * activation).sum(CHANNEL)
    return evidence.relu() if rectify else evidence


METHOD = Method(
    grad_cam,
    id="grad-cam",
    title="Grad-CAM",
    reference=Reference("arXiv:1610.02391", "eq. 1-2"),
    caveat="Weights are averaged over the whole map, so evidence can appear where its channel is active "
    "for another reason.",
)
