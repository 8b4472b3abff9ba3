"""KPCA-CAM."""

import torch

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.errors import BadOption
from pellucid.methods.eigen_cam import eigenvectors, signed_like
from pellucid.numerics import CHANNEL, product


def kpca_cam(
    activation: Maps, gradient: Maps, *, kernel: str = "sigmoid", gamma: float | None = None, rectify: bool = True
) -> Map:
    """The main pattern of a layer's activations when curved relations between channels count too.

    Kernel principal component analysis of the places of the layer: K_ij = k(a_i, a_j) with a the activations less each
    channel's mean, K centred; the map is the projection on the component of the largest eigenvalue, signed like the
    evidence sum_k g_k A_k (see eigen-cam).

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g, of the same shape; settles the sign only.
        kernel: `sigmoid` tanh(gamma a.b + 1), `rbf` exp(-gamma |a - b|^2) or `linear`.
        gamma: scale of the kernel; None is 1 / channels.
        rectify: True keeps the positive part only.

    Returns:
        `[batch, row, column]` on the layer's grid.

    Raises:
        BadOption: another kernel.
        Refused: the kernel of these activations is not finite.
    """
    places = activation.flatten(2).transpose(1, 2)
    places = places - places.mean(1, keepdim=True)  # as the public code does; only the sigmoid kernel notices
    scale = 1 / places.shape[2] if gamma is None else gamma
    products = product(places, places.transpose(1, 2))
    if kernel == "sigmoid":
        gram = torch.tanh(scale * products + 1)
    elif kernel == "rbf":
        square = products.diagonal(dim1=1, dim2=2)
        gram = torch.exp(-scale * (square[:, :, None] + square[:, None] - 2 * products).clamp(min=0))
    elif kernel == "linear":
        gram = products
    else:
        raise BadOption(f"Expected 'sigmoid', 'rbf' or 'linear' as kernel of kpca-cam, got {kernel!r}.")
    centred = gram - gram.mean(1, keepdim=True) - gram.mean(2, keepdim=True) + gram.mean((1, 2), keepdim=True)
    values, vectors = eigenvectors(centred)
    component = vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()
    signed = signed_like(component, (gradient * activation).sum(CHANNEL))
    return signed.relu() if rectify else signed


METHOD = Method(
    kpca_cam,
    id="kpca-cam",
    title="KPCA-CAM",
    reference=Reference("arXiv:2410.00267", "definition of KPCA-CAM"),
    caveat="Shows what dominates the layer, the same for every class but for its sign; depends on the kernel's scale.",
)
