"""Contrastive excitation backprop."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.methods._relevance import check_operations
from pellucid.methods.excitation_backprop import OTHERWISE
from pellucid.numerics import CHANNEL


def contrastive_excitation_backprop(relevance: Maps, uncovered: tuple[str, ...]) -> Map:
    """Where the walk for this class ends more often than the walk for "not this class".

    The marginal winning probability of the score minus that of its dual unit, whose weights are the class's with
    opposite sign. The two are subtracted right below the score and go down together. Signed: negative where the layer
    speaks against the class.

    Args:
        relevance: the difference at the layer, `[batch, channel, row, column]`.
        uncovered: operations between the layer and the score that have no rule.

    Returns:
        `[batch, row, column]` on the layer's grid.

    Raises:
        Refused: an operation without a rule, by name.
    """
    check_operations(METHOD.id, uncovered, OTHERWISE)
    return relevance.sum(CHANNEL)


METHOD = Method(
    contrastive_excitation_backprop,
    id="contrastive-excitation-backprop",
    title="Contrastive excitation backprop",
    reference=Reference("arXiv:1608.00507", "section 3.3"),
    caveat="Both walks sum to one, so the map says nothing about how large the score is.",
    rule="contrastive-excitation",
)
