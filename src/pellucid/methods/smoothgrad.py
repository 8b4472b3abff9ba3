"""SmoothGrad: the mean of another method's maps over noisy copies of the picture."""

import torch

from pellucid.contracts import Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.methods._noise import noisy_mean


def smoothgrad(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    of: str = "saliency",  # noqa: ARG001
    samples: int = 25,
    noise: float = 0.15,
    sigma: float | None = None,
) -> torch.Tensor:
    """Any gradient map with its local flutter averaged away.

    raw = mean_n M(I + sigma e_n) with e_n standard normal, sigma = noise x (max I - min I) of each picture, and M the
    raw map of the method `of`.

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: runs the method `of` on the noisy copies.
        rng: noise by sample number; the same for all pictures.
        of: id of any other method (saliency, grad-cam, integrated-gradients, occlusion, ...), which runs with its own
            options. The engine reads it and gives the probe that method to run.
        samples: number of noisy copies.
        noise: standard deviation, as a fraction of the picture's own range (0 to 1).
        sigma: standard deviation in the model's normalised space instead; None takes `noise`.

    Returns:
        Shaped as the raw map of `of`, or as its map where that is not simply the raw one resized (occlusion).
    """
    return noisy_mean(METHOD.id, image, probe, rng, samples, noise, sigma, lambda raw: raw)


METHOD = Method(
    smoothgrad,
    id="smoothgrad",
    title="SmoothGrad",
    reference=Reference("arXiv:1706.03825", "section 2"),
    caveat="Shows the network's behaviour around the picture, on noisy pictures that it was not trained on.",
    reduce="of",
    passes=Passes("samples", 1, 1, shared=False),
)
