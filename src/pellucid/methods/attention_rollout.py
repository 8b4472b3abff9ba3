"""Attention rollout."""

import torch
from torch import Tensor

from pellucid.contracts import Attentions, Evidence, Method, Reference
from pellucid.errors import BadOption
from pellucid.methods._attention import as_map, check_attentions, read_shares
from pellucid.numerics import product


def attention_rollout(
    attentions: Attentions,
    *,
    heads: str = "mean",  # noqa: ARG001
    discard: float = 0.0,
) -> Evidence:
    """Where a transformer looks, followed through all its layers and skip connections; whatever the class.

    With W_l the attention of layer l, heads joined: A_l = (W_l + I) / 2, rows rescaled to sum to 1, and
    rollout = A_L ... A_1. The map is the mean of the rows of the tokens that the score reads (the class token, both of
    a distilled model, or all patches where they are averaged), at the tokens that stand for a place.

    Args:
        attentions: W_l of every layer, `[batch, query, key]`.
        heads: rule by which heads are joined: `mean`, the paper's; `min` or `max`, as in public code, keeps what all or
            any of them look at.
        discard: fraction, from 0 up to but not including 1, of each layer's W that is set to zero, smallest first, as
            in public code; 0 is the paper's formula.

    Returns:
        `[batch, row, column]`: share of the score's attention that began at each place; extras `elsewhere` `[batch]`,
        the share of tokens that stand for none. All shares of a picture sum to 1.

    Raises:
        BadOption: another way to join heads, or a fraction out of range.
        Refused: a network without attention, or whose attention matrices are no chain.
    """
    if not 0 <= discard < 1:
        raise BadOption(f"Expected 0 <= discard < 1 for attention-rollout, got {discard}.")
    check_attentions(METHOD.id, attentions)
    row = read_shares(attentions)
    for weights in reversed(attentions.layers):
        row = product(row, _with_skip(_without_smallest(weights, discard)))
    shares = as_map(row[:, 0], attentions)
    elsewhere = row.sum((1, 2)) - shares.sum(tuple(range(1, shares.ndim)))
    return Evidence(shares, extras={"elsewhere": elsewhere}, notes=attentions.notes)


def _with_skip(weights: Tensor) -> Tensor:
    joint = weights + torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
    return joint / joint.sum(-1, keepdim=True)


def _without_smallest(weights: Tensor, fraction: float) -> Tensor:
    flat = weights.flatten(1)
    smallest = flat.topk(int(fraction * flat.shape[1]), 1, largest=False).indices
    return flat.scatter(1, smallest, 0).view_as(weights)


METHOD = Method(
    attention_rollout,
    id="attention-rollout",
    title="Attention rollout",
    reference=Reference("arXiv:2005.00928", "section 3, attention rollout"),
    caveat="Shows where the network looks, not what speaks for a class: it is the same for all classes.",
)
