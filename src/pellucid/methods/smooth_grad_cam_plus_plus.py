"""Smooth Grad-CAM++."""

import torch

from pellucid.contracts import Map, Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.methods._noise import noisy
from pellucid.numerics import CHANNEL, places, safe_divide


def smooth_grad_cam_plus_plus(
    activation: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    samples: int = 25,
    noise: float = 0.15,
    sigma: float | None = None,
) -> Map:
    """Grad-CAM++ with its derivatives averaged over noisy copies of the picture.

    D_n = mean over the copies of g^n, for n = 1, 2, 3; alpha = D_2 / (2 D_2 + sum_ab A_kab D_3); w_k = sum_ij alpha
    ReLU(D_1); map = ReLU(sum_k w_k A_k). A is the activation of the picture itself, without noise.

    Args:
        activation: A, `[batch, channel, row, column]`.
        probe: access to the network, asked for the gradient at the layer for the noisy copies.
        rng: noise by sample number.
        samples: number of noisy copies.
        noise: standard deviation, as a fraction of the picture's own range (0 to 1).
        sigma: standard deviation in the model's normalised space instead; None takes `noise`.

    Returns:
        `[batch, row, column]` on the layer's grid.
    """
    moments = torch.zeros(3, *activation.shape, dtype=activation.dtype, device=activation.device)
    for pictures, _, g in noisy(METHOD.id, probe, rng, samples, noise, sigma, function=_gradient):
        for power in (1, 2, 3):
            moments[power - 1].index_add_(0, pictures, g**power / samples)
    first, second, third = moments
    alpha = safe_divide(second, 2 * second + activation.sum(places(activation), keepdim=True) * third)
    weights = (alpha * first.relu()).sum(places(activation), keepdim=True)
    evidence: Map = (weights * activation).sum(CHANNEL)
    return evidence.relu()


def _gradient(gradient: Maps) -> Maps:
    return gradient


METHOD = Method(
    smooth_grad_cam_plus_plus,
    id="smooth-grad-cam++",
    title="Smooth Grad-CAM++",
    reference=Reference("arXiv:1908.01224", "section 3"),
    caveat="Cubes of small gradients lose their digits; with few samples single copies can rule the map.",
    passes=Passes("samples", 1, 1, shared=False),
)
