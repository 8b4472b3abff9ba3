"""Squared gradient averaged over noise: SmoothGrad squared."""

import torch

from pellucid.contracts import Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.methods._noise import noisy_mean


def squared_gradient(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    of: str = "saliency",  # noqa: ARG001
    samples: int = 25,
    noise: float = 0.15,
    sigma: float | None = None,
) -> torch.Tensor:
    """Where a gradient map is strong in either direction, averaged over noisy copies of the picture.

    raw = mean_n M(I + sigma e_n)^2, noise as in `smoothgrad`.

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: runs the method `of` on the noisy copies.
        rng: noise by sample number; the same for all pictures.
        of: id of any other method (saliency, guided-backprop, integrated-gradients, ...).
        samples: number of noisy copies.
        noise: standard deviation, as a fraction of the picture's own range (0 to 1).
        sigma: standard deviation in the model's normalised space instead; None takes `noise`.

    Returns:
        Shaped as for `smoothgrad`, never negative.
    """
    return noisy_mean(METHOD.id, image, probe, rng, samples, noise, sigma, torch.square)


METHOD = Method(
    squared_gradient,
    id="squared-gradient",
    title="Squared gradient",
    reference=Reference("arXiv:1806.10758", "SmoothGrad-Squared"),
    caveat="Signs are lost: evidence for and against look alike.",
    reduce="sum",
    passes=Passes("samples", 1, 1, shared=False),
)
