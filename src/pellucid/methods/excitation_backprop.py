"""Excitation backprop."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.methods._relevance import check_operations
from pellucid.numerics import CHANNEL

OTHERWISE = "Use grad-cam, or a layer above these operations."


def excitation_backprop(relevance: Maps, uncovered: tuple[str, ...]) -> Map:
    """Where a winner-take-all walk from the score down to the layer ends, following excitatory connections only.

    The marginal winning probability P_j = sum_k x_j w_jk+ / sum_i x_i w_ik+ P_k, begun with 1 at the score, summed over
    channels. The map is positive and sums to at most 1. Activations are taken to be positive, as behind a ReLU; of
    several summands each is chosen in proportion to its positive part.

    Args:
        relevance: P at the layer, `[batch, channel, row, column]`.
        uncovered: operations between the layer and the score that have no rule.

    Returns:
        `[batch, row, column]` on the layer's grid.

    Raises:
        Refused: an operation without a rule, by name.
    """
    check_operations(METHOD.id, uncovered, OTHERWISE)
    return relevance.sum(CHANNEL)


METHOD = Method(
    excitation_backprop,
    id="excitation-backprop",
    title="Excitation backprop",
    reference=Reference("arXiv:1608.00507", "eq. 1-4"),
    caveat="Shows what excites the network as a whole and differs little between classes; the contrastive form does.",
    rule="excitation",
)
