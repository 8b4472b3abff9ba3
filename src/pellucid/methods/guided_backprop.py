"""Guided backpropagation."""

from pellucid.contracts import Evidence, Maps, Method, Reference
from pellucid.methods._rectified import check_activations


def guided_backprop(image_gradient: Maps, uncovered: tuple[str, ...], *, other_activations: str = "refuse") -> Evidence:
    """Fine structure that excites the network on the way to the score: only positive signals pass a ReLU.

    At every rectifier with input x and signal R from above: 1[0 < x < c] max(R, 0); see
        `capture/backward_rules/relu.py`.
    Negative values in `raw` are right: no rectifier lies below the first convolution.

    Args:
        image_gradient: the input's gradient under the guided rule, `[batch, channel, row, column]`.
        uncovered: activations of the network that have no rectifier rule.
        other_activations: `refuse` them, or treat them as `plain` gradients, which the result then records.

    Returns:
        The same; reduced by `max-abs` for the map.
    """
    return Evidence(image_gradient, notes=check_activations(METHOD.id, uncovered, other_activations))


METHOD = Method(
    guided_backprop,
    id="guided-backprop",
    title="Guided backprop",
    reference=Reference("arXiv:1412.6806", "section 3.4"),
    caveat="Sharp but hardly class-specific: it restores edges of the picture and stays much the same when the upper "
    "layers are randomised (arXiv:1810.03292).",
    rule="guided",
    reduce="max-abs",
)
