"""Blur integrated gradients: the gradient collected while the picture comes into focus."""

import torch

from pellucid.contracts import Evidence, Maps, Method, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._paths import completeness_gap, plain_gradient
from pellucid.numerics import gaussian_blur


def blur_ig(image: Maps, probe: ProbeLike, *, steps: int = 50, sigma: float = 50.0) -> Evidence:
    """What each pixel adds to the score as detail of ever finer scale comes in; no colour is the baseline.

    raw = - integral_0^sigma dS/dL(L_s) dL_s/ds ds, with L_s the picture blurred by a Gaussian of standard deviation s.
    By steps: sum_i dS/dL(L at the middle scale) (L_{s_i} - L_{s_i+1}), with s_i = sigma (i / steps)^2, since most
    changes at small scales. raw sums to S(I) - S(L_sigma); `extras["gap"]` is what is missing.

    Args:
        image: I, `[batch, channel, row, column]`; beyond its edge is 0, the mean colour.
        probe: access to the network, asked for the gradient at every scale.
        steps: number of scales.
        sigma: the largest scale, in pixels of the model's input.

    Returns:
        raw shaped as the input, signed; summed over channels for the map; extras `gap` `[batch]`, in score units.

    Raises:
        BadOption: no steps, or a sigma that is not positive.
    """
    if steps < 1 or sigma <= 0:
        raise BadOption(f"Expected steps >= 1 and sigma > 0 for blur-ig, got steps {steps} and sigma {sigma}.")
    scales = sigma * torch.linspace(0, 1, 2 * steps + 1, dtype=image.dtype, device=image.device) ** 2

    def blurred(rows: Maps, _: torch.Tensor, numbers: torch.Tensor) -> Maps:
        return gaussian_blur(rows, scales[2 * numbers + 1])

    raw = torch.zeros_like(image)
    for pictures, numbers, gradient in probe.each(steps, blurred, plain_gradient):
        sharper, softer = (gaussian_blur(image[pictures], scales[2 * numbers + k]) for k in (0, 2))
        raw.index_add_(0, pictures, ((sharper - softer) * gradient).to(raw.dtype))
    end = gaussian_blur(image, scales[-1:].expand(len(image)))
    return Evidence(raw, extras={"gap": completeness_gap(image, probe, [end], raw)})


METHOD = Method(
    blur_ig,
    id="blur-ig",
    title="Blur integrated gradients",
    reference=Reference("arXiv:2004.03383", "definition of BlurIG"),
    caveat="Says at which scales the score comes into being as much as where; smooth areas can get nothing.",
    reduce="sum",
    passes=Passes("steps", 1, 1, shared=False),
)
