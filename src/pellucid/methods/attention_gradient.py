"""Gradient-weighted attention."""

import torch

from pellucid.contracts import Attentions, Evidence, Method, Reference
from pellucid.methods._attention import as_map, check_attentions, read_shares
from pellucid.numerics import product


def attention_gradient(attention_evidence: Attentions) -> Evidence:
    """Where a transformer looks and the score gains by it, followed through all its layers.

    E_l = mean over heads of max(A_l * dS/dA_l, 0) (eq. 5), with A_l the attention of layer l. R = I before the first
    layer and R <- R + E_l R at each (eq. 6), so R = (I + E_L) ... (I + E_1). The map is the mean of the rows of R - I
    of the tokens that the score reads, at the tokens that stand for a place; for a class token, which stands for none,
    that is the paper's row of R.

    Args:
        attention_evidence: E_l of every layer, `[batch, query, key]`.

    Returns:
        `[batch, row, column]`, never negative.

    Raises:
        Refused: a network without attention, or whose attention matrices are no chain.
    """
    check_attentions(METHOD.id, attention_evidence)
    start = read_shares(attention_evidence)
    gained = torch.zeros_like(start)  # apart from `start`, beside which small evidence would be lost to rounding
    for evidence in reversed(attention_evidence.layers):
        gained = gained + product(start + gained, evidence)
    return Evidence(as_map(gained[:, 0], attention_evidence), notes=attention_evidence.notes)


METHOD = Method(
    attention_gradient,
    id="attention-gradient",
    title="Gradient-weighted attention",
    reference=Reference("arXiv:2103.15679", "eq. 1, 5 and 6"),
    caveat="Evidence against the class is set to zero in every head; places that speak against it look as if unused.",
)
