"""Input x gradient."""

from pellucid.contracts import Maps, Method, Reference


def input_x_gradient(image: Maps, image_gradient: Maps) -> Maps:
    """How much each pixel contributes, if the network were linear.

    raw = I dS/dI, in the model's normalised space, where 0 is the mean colour and therefore counts as "nothing there".

    Args:
        image: I, `[batch, channel, row, column]`.
        image_gradient: dS/dI, of the same shape.

    Returns:
        Signed contributions, of the same shape; summed over channels for the map.
    """
    return image * image_gradient


METHOD = Method(
    input_x_gradient,
    id="input-x-gradient",
    title="Input x gradient",
    reference=Reference("arXiv:1605.01713", "section 2.2"),
    caveat="Pixels of the mean colour get nothing however much they matter; edges of bright objects get the most.",
    reduce="sum",
    joint=True,
)
