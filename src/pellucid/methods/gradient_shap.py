"""Gradient SHAP: integrated gradients by chance, around the picture and from several baselines."""

import torch
from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Noise, Passes, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.methods._noise import own_range
from pellucid.methods._paths import along_random_lines, read_baselines
from pellucid.numerics import per_row


def gradient_shap(
    image: Maps,
    probe: ProbeLike,
    rng: Noise,
    *,
    samples: int = 50,
    noise: float = 0.1,
    sigma: float | None = None,
    baseline: float | str | Tensor = "black,white",
) -> Evidence:
    """How much each pixel adds to the score on random ways from the baselines to the picture and its noisy neighbours.

    raw = mean_n (I_n - B_n) dS/dI (B_n + t_n (I_n - B_n)), with I_n = I + sigma e_n, e_n standard normal, sigma = noise
    x (max I - min I) where it is not given, B_n one of the baselines and t_n in [0, 1), both drawn uniformly. In
    expectation the mean of integrated gradients over noisy pictures and baselines.

    Args:
        image: I, `[batch, channel, row, column]`.
        probe: access to the network, asked for the gradient on the ways.
        rng: random draws by sample number; the same for all pictures.
        samples: number n of ways; the error falls with its square root.
        noise: standard deviation, as a fraction of the picture's own range (0 to 1).
        sigma: standard deviation in the model's normalised space instead; None takes `noise`.
        baseline: B: as in `integrated-gradients`.

    Returns:
        raw shaped as the input, signed; summed over channels for the map.

    Raises:
        BadOption: no samples, negative noise or sigma, or another baseline.
    """
    if noise < 0:
        raise BadOption(f"Expected noise >= 0 for gradient-shap, got {noise}.")
    if sigma is not None and sigma < 0:
        raise BadOption(f"Expected sigma >= 0 for gradient-shap, got {sigma}.")
    starts, notes = read_baselines(METHOD.id, baseline, image, probe)
    stacked = torch.stack(starts)
    width = noise * own_range(image, probe)
    spread = width if sigma is None else torch.full_like(width, sigma)

    def draw(rows: Maps, pictures: torch.Tensor, numbers: torch.Tensor) -> tuple[Maps, Maps, torch.Tensor]:
        chance = rng.uniform(2 * numbers + 1, image.new_zeros(1, 2))
        start = stacked[(chance[:, 0] * len(stacked)).long(), pictures]
        end = rows + spread[pictures] * rng.normal(2 * numbers, rows)
        return start, end, per_row(chance[:, 1], rows)

    return Evidence(along_random_lines(METHOD.id, image, probe, samples, draw), notes=notes)


METHOD = Method(
    gradient_shap,
    id="gradient-shap",
    title="Gradient SHAP",
    reference=Reference("arXiv:1705.07874", "SHAP; gradients at random points as in the authors' GradientExplainer"),
    caveat="A random estimate: maps with few samples are grainy, and the baselines decide what counts as nothing.",
    reduce="sum",
    passes=Passes("samples", 1, 1, shared=False),
    joint=True,
)
