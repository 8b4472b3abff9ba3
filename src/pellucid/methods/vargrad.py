"""VarGrad: the variance of another method's maps over noisy copies of the picture."""

import torch

from pellucid.contracts import Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.methods._noise import noisy


def vargrad(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    of: str = "saliency",  # noqa: ARG001
    samples: int = 25,
    noise: float = 0.15,
    sigma: float | None = None,
) -> torch.Tensor:
    """Where a gradient map changes most when the picture is disturbed a little.

    raw = variance over n of M(I + sigma e_n), noise as in `smoothgrad`; accumulated by Welford's rule, so that it can
    never turn negative.

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: runs the method `of` on the noisy copies.
        rng: noise by sample number; the same for all pictures.
        of: id of any other method (saliency, guided-backprop, integrated-gradients, ...).
        samples: number of noisy copies, at least 2.
        noise: standard deviation, as a fraction of the picture's own range (0 to 1).
        sigma: standard deviation in the model's normalised space instead; None takes `noise`.

    Returns:
        Shaped as for `smoothgrad`, never negative.
    """
    mean = squares = torch.zeros(0)
    for pictures, numbers, raw in noisy(METHOD.id, probe, rng, samples, noise, sigma, least=2):
        if not len(mean):
            mean, squares = (raw.new_zeros(len(image), *raw.shape[1:]) for _ in range(2))
        for picture, number, value in zip(pictures.tolist(), numbers.tolist(), raw, strict=True):
            step = value - mean[picture]
            mean[picture] += step / (number + 1)
            squares[picture] += step * (value - mean[picture])
    return squares / samples


METHOD = Method(
    vargrad,
    id="vargrad",
    title="VarGrad",
    reference=Reference("arXiv:1810.03292", "section on VarGrad in its appendix"),
    caveat="Says how unsteady the gradient is, not in which direction a pixel counts.",
    reduce="sum",
    passes=Passes("samples", 1, 1, shared=False),
)
