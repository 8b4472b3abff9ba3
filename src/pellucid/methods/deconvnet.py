"""DeconvNet."""

from pellucid.contracts import Evidence, Maps, Method, Reference
from pellucid.methods._rectified import check_activations


def deconvnet(image_gradient: Maps, uncovered: tuple[str, ...], *, other_activations: str = "refuse") -> Evidence:
    """What pattern in the picture a score can be projected back to: positive signals only, whatever the ReLU saw.

    At every rectifier with signal R from above: max(R, 0). Max pooling sends signals back through its switches, which
    is its ordinary gradient.

    Args:
        image_gradient: the input's gradient under the deconvnet rule, `[batch, channel, row, column]`.
        uncovered: activations of the network that have no rectifier rule.
        other_activations: `refuse` them, or treat them as `plain` gradients, which the result then records.

    Returns:
        The same; reduced by `max-abs` for the map.
    """
    return Evidence(image_gradient, notes=check_activations(METHOD.id, uncovered, other_activations))


METHOD = Method(
    deconvnet,
    id="deconvnet",
    title="DeconvNet",
    reference=Reference("arXiv:1311.2901", "section 2.1"),
    caveat="Depends on the picture through the max-pooling switches only; in networks without max pooling it shows "
    "nearly the same for every picture.",
    rule="deconvnet",
    reduce="max-abs",
)
