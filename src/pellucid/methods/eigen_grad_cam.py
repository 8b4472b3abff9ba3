"""Eigen-Grad-CAM."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.methods.eigen_cam import first_component, signed_like
from pellucid.numerics import CHANNEL


def eigen_grad_cam(activation: Maps, gradient: Maps, *, centre: bool = True, rectify: bool = True) -> Map:
    """The main pattern of a layer's evidence: Eigen-CAM of activation times gradient.

    As `eigen-cam` with g A in place of A; the sign is that of the evidence sum_k g_k A_k.

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g, of the same shape.
        centre: subtract each channel's mean first.
        rectify: True keeps the positive part only.

    Returns:
        `[batch, row, column]` on the layer's grid.
    """
    evidence = gradient * activation
    signed = signed_like(first_component(evidence, centre=centre), evidence.sum(CHANNEL))
    return signed.relu() if rectify else signed


METHOD = Method(
    eigen_grad_cam,
    id="eigen-grad-cam",
    title="Eigen-Grad-CAM",
    reference=Reference("arXiv:2008.00299", "Eigen-CAM, applied to gradient times activation as in public code"),
    caveat="Keeps only the evidence that varies together; a second, independent reason is dropped.",
)
