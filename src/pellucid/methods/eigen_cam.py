"""Eigen-CAM."""

import torch

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.errors import Refused
from pellucid.numerics import CHANNEL, product, safe_divide


def eigen_cam(activation: Maps, gradient: Maps, *, centre: bool = True, rectify: bool = True) -> Map:
    """The main pattern of a layer's activations, whatever the class.

    A as a matrix `[place, channel]`, less each channel's mean, = U S V'; map = A V_1, its projection on the first
    principal direction. A principal direction has no sign; here the map correlates with the evidence sum_k g_k A_k, so
    that it never depends on the linear-algebra library. That sign is all that the target decides. The paper's formula
    has no centring (`centre=False`); then the map points the way of the mean activation.

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g, of the same shape; settles the sign only.
        centre: subtract each channel's mean first, as in principal component analysis and in public code.
        rectify: True keeps the positive part only.

    Returns:
        `[batch, row, column]` on the layer's grid.
    """
    evidence = (gradient * activation).sum(CHANNEL)
    component = first_component(activation, centre=centre)
    signed = signed_like(component, evidence if centre else torch.ones_like(evidence))
    return signed.relu() if rectify else signed


def first_component(maps: Maps, *, centre: bool) -> torch.Tensor:
    """Projection of every place on the first right singular vector, of either sign, `[batch, place]`."""
    places = maps.flatten(2).transpose(1, 2)
    places, size = places_of_size_one(places)
    if centre:
        places = places - places.mean(1, keepdim=True)
    # Projection A V_1 = U_1 S_1: the eigenvectors of the smaller of A A' and A' A give it without a full SVD.
    if places.shape[1] <= places.shape[2]:
        values, vectors = eigenvectors(product(places, places.transpose(1, 2)))
        return vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt() * size[:, 0]
    direction = eigenvectors(product(places.transpose(1, 2), places))[1][:, :, -1:]
    return product(places, direction)[:, :, 0] * size[:, 0]


def places_of_size_one(places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`[batch, place, channel]` over its largest value, whose square may be none of the number type's; and that."""
    size = places.abs().amax((1, 2), keepdim=True)
    return safe_divide(places, size.expand_as(places)), size


def eigenvectors(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues in ascending order and eigenvectors of symmetric matrices `[batch, n, n]`.

    Raises:
        Refused: there are none in this number type.
    """
    try:
        if bool(matrix.isfinite().all()):
            values, vectors = torch.linalg.eigh(matrix)
            return values, vectors
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # no convergence
        pass
    raise Refused(
        "The layer's activations are too large or too uneven for their principal components. Is the picture in the "
        "range that the model expects? Use grad-cam or another layer."
    )


def signed_like(component: torch.Tensor, evidence: Map) -> Map:
    """The component `[batch, place]` on the evidence's grid, turned so that their product's sum is not negative.

    Where that is 0, as behind a layer whose places do not count, the component's largest value is positive.
    """
    sizes = [safe_divide(t, t.abs().amax(1, keepdim=True).expand_as(t)) for t in (component, evidence.flatten(1))]
    agreement = (sizes[0] * sizes[1]).sum(1, keepdim=True)
    largest = component.gather(1, component.abs().argmax(1, keepdim=True))
    agreement = torch.where(agreement == 0, largest, agreement)
    return torch.where(agreement < 0, -component, component).reshape(evidence.shape)


METHOD = Method(
    eigen_cam,
    id="eigen-cam",
    title="Eigen-CAM",
    reference=Reference("arXiv:2008.00299", "definition of Eigen-CAM"),
    caveat="Shows what dominates the layer, the same for every class except for the sign.",
)
