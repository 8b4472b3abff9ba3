"""Shapley-CAM."""

import torch

from pellucid.contracts import Evidence, Maps, Method, ProbeLike, Reference
from pellucid.errors import BadOption
from pellucid.numerics import CHANNEL, places


def shapley_cam(activation: Maps, probe: ProbeLike, *, utility: str = "rest", rectify: bool = True) -> Evidence:
    """Grad-CAM with each channel's share of a fair division, to second order.

    w_k = mean_ij (g - H A / 2)_kij; map = ReLU(sum_k w_k A_k), with g and H the first and second derivative of the
    utility at the layer's activation A: the Shapley values of its second-order Taylor expansion.

    Args:
        activation: A, `[batch, channel, row, column]`.
        probe: access to the network, asked for g and H A.
        utility: `rest`, the paper's: the class score plus the logarithm of its probability; or `target`, the target's
            own score. Where that is linear in the layer (a ReLU network's last block) H is 0 and this is Grad-CAM.
        rectify: True keeps the positive evidence only.

    Returns:
        `[batch, row, column]` on the layer's grid. A target that is no class, or has no
        log-probability (one number, a quantity), is its own utility, and a note says so.

    Raises:
        BadOption: another utility.
        Refused: the network cannot be differentiated twice.
    """
    if utility not in ("rest", "target"):
        raise BadOption(f"Expected 'rest' or 'target' as utility of shapley-cam, got {utility!r}.")
    target = probe.residual() if utility == "rest" else None
    alone = utility == "rest" and target is None
    notes = (
        ("The target has no score with a log-probability beside it, so its own score is the utility.",) if alone else ()
    )
    weights = activation.new_zeros(*activation.shape[:2], *[1] * len(places(activation)))
    for pictures, _, w in probe.each(1, lambda rows, _, __: rows, _weights, target=target):
        weights.index_add_(0, pictures, w)
    evidence = (weights * activation).sum(CHANNEL)
    return Evidence(evidence.relu() if rectify else evidence, notes=notes)


def _weights(gradient: Maps, curvature: Maps) -> torch.Tensor:
    return (gradient - curvature / 2).mean(places(gradient), keepdim=True)


METHOD = Method(
    shapley_cam,
    id="shapley-cam",
    title="Shapley-CAM",
    reference=Reference("arXiv:2501.06261", "definition of ShapleyCAM"),
    caveat="The expansion is around the picture and says little about a layer without its channels, where it should.",
)
