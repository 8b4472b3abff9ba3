"""Saliency: the plain gradient."""

from pellucid.contracts import Maps, Method, Reference


def saliency(image_gradient: Maps) -> Maps:
    """Which pixels the score is most sensitive to: the gradient of the class score before softmax.

    raw = dS/dI; the map is its largest absolute value over the colour channels.

    Args:
        image_gradient: dS/dI, `[batch, channel, row, column]`.

    Returns:
        The signed gradient itself; reduced by `max-abs` for the map.
    """
    return image_gradient


METHOD = Method(
    saliency,
    id="saliency",
    title="Saliency",
    reference=Reference("arXiv:1312.6034", "section 3"),
    caveat="Shows sensitivity, not evidence: where a small change would matter, not what the score is made of.",
    reduce="max-abs",
)
