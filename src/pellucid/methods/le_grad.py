"""LeGrad."""

import torch

from pellucid.contracts import Attentions, Evidence, Method, Reference
from pellucid.errors import BadOption
from pellucid.methods._attention import as_map, check_attentions


def le_grad(
    attention_sensitivity: Attentions,
    *,
    layers: int = 0,
    tokens: str = "mean",  # noqa: ARG001
) -> Evidence:
    """Where a transformer would gain by looking more, summed over the layers in which the class takes form.

    G_l = mean over heads and queries of max(dS_l/dA_l, 0), with A_l the attention of layer l and S_l a score of that
    layer's own: what the network's head makes of the tokens behind it. map = mean of G_l over the layers, at the
    tokens that stand for a place. The paper's map is this one stretched from 0 to 1.

    Args:
        attention_sensitivity: G_l of every layer, `[batch, key]`.
        layers: number of layers that count, from the last one down; 0 is all.
        tokens: what of them the head is given: `mean`, the mean of all in place of each, as the authors do; or `own`,
            each as it is, of which the head reads its class token or whatever it reads behind the last layer.

    Returns:
        `[batch, row, column]`, never negative, in units of the score; extras `layers` `[batch, layer, row, column]`,
        the map of each layer that counts.

    Raises:
        BadOption: more layers than there are, or another choice of tokens.
        Refused: a network without attention, whose attention does not look at one grid of tokens, or without a module
            for each layer.
    """
    check_attentions(METHOD.id, attention_sensitivity)
    depth = len(attention_sensitivity.layers)
    if not 0 <= layers <= depth:
        raise BadOption(f"Expected 0 to {depth} layers for le-grad on this network, got {layers}.")
    chosen = attention_sensitivity.layers[-layers:]
    maps = torch.stack([as_map(layer, attention_sensitivity) for layer in chosen], 1)
    return Evidence(maps.mean(1), extras={"layers": maps}, notes=attention_sensitivity.notes)


METHOD = Method(
    le_grad,
    id="le-grad",
    title="LeGrad",
    reference=Reference("arXiv:2404.03214", "section 3"),
    caveat="A gradient says what more attention would do, not what the attention does; and the head that scores early "
    "layers was never trained on them.",
)
