"""Ablation-CAM."""

import torch

from pellucid.contracts import Map, Maps, Method, ProbeLike, Reference
from pellucid.errors import Refused
from pellucid.numerics import CHANNEL


def ablation_cam(activation: Maps, probe: ProbeLike, *, rectify: bool = True) -> Map:
    """A layer's channels, each weighed by what the score loses without it; needs no gradient.

    w_k = (S - S_k) / S with S_k the score when channel k is set to 0; map = ReLU(sum_k w_k A_k). The paper divides by
    S as if it were positive. A logit need not be, and dividing by a negative one would swap evidence for and against;
    here the divisor is |S|, which only scales the map.

    Args:
        activation: A, `[batch, channel, row, column]`.
        probe: scores the variants of A; the layers before are run once per chunk, not once per channel.
        rectify: True keeps the positive evidence only, as in the paper.

    Returns:
        `[batch, row, column]` on the layer's grid.

    Raises:
        Refused: the score is exactly 0, so no fraction of it can be lost.
    """
    channels = activation.shape[CHANNEL]

    def silence(rows: torch.Tensor, _: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        # variant 0 is the activation as it is, variant k is without channel k - 1
        hit = (numbers > 0).nonzero()[:, 0]
        rows[hit, numbers[hit] - 1] = 0
        return rows

    score = probe.late(channels + 1, silence).score
    whole = score[:, :1]
    if bool((whole == 0).any()):
        raise Refused("Ablation-CAM measures the lost fraction of the score, and the score is exactly 0.")
    weights = (whole - score[:, 1:]) / whole.abs()
    evidence = torch.einsum("bk,bk...->b...", weights.to(activation.dtype), activation)
    return evidence.relu() if rectify else evidence


METHOD = Method(
    ablation_cam,
    id="ablation-cam",
    title="Ablation-CAM",
    reference=Reference(
        "Desai & Ramaswamy, WACV 2020, doi:10.1109/WACV45572.2020.9093360", "definition of Ablation-CAM"
    ),
    caveat="Channels that stand in for each other seem unimportant, as each is removed alone.",
)
