"""Grad-CAM++."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.errors import BadOption
from pellucid.numerics import CHANNEL, places, safe_divide


def grad_cam_plus_plus(activation: Maps, gradient: Maps, *, variant: str = "paper") -> Map:
    """Grad-CAM with a weight for every position, so that several objects of one class all count.

    alpha_kij = g^2 / (2 g^2 + (sum_ab A_kab) g^3) where g is not 0; w_k = sum_ij alpha_kij ReLU(g_kij);
    map = ReLU(sum_k w_k A_k). The paper explains Y = exp(S); the factor exp(S) in front of g is the same for the whole
    map and is left out, as it overflows.

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g, of the same shape.
        variant: `paper` for eq. 19; `authors` divides alpha by its sum over the positions with g > 0, as the authors'
            published code does.

    Returns:
        `[batch, row, column]` on the layer's grid.
    """
    if variant not in ("paper", "authors"):
        raise BadOption(f"Expected 'paper' or 'authors' as variant of grad-cam++, got {variant!r}.")
    total = activation.sum(places(activation), keepdim=True)
    # g^2 cancels, which keeps small gradients from vanishing in float32; alpha is 0 where g is 0
    alpha = safe_divide(gradient.ne(0).to(gradient.dtype), 2 + total * gradient)
    positive = gradient.relu()
    if variant == "authors":
        alpha = safe_divide(alpha, (alpha * gradient.gt(0)).sum(places(activation), keepdim=True))
    weights = (alpha * positive).sum(places(activation), keepdim=True)
    return (weights * activation).sum(CHANNEL).relu()


METHOD = Method(
    grad_cam_plus_plus,
    id="grad-cam++",
    title="Grad-CAM++",
    reference=Reference("arXiv:1710.11063", "eq. 19"),
    caveat="The weights can grow without bound where 2 + g sum(A) is near 0; then a single channel rules the map.",
)
