"""Finer-CAM."""

from pellucid.contracts import Map, Maps, Method, ProbeLike, Reference
from pellucid.errors import BadOption, Refused
from pellucid.methods.grad_cam import grad_cam


def finer_cam(
    activation: Maps, gradient: Maps, probe: ProbeLike, *, rivals: int = 3, strength: float = 0.6, rectify: bool = True
) -> Map:
    """What tells the class from the classes most like it: Grad-CAM of the score minus its rivals' mean score.

    g' = g - strength mean_d g_d over the `rivals` classes d whose scores are closest to the target's; what the rivals
    share is taken off before the rectification, not map by map.

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g of the target, of the same shape.
        probe: access to the network, asked for the gradient of the rivals' mean score.
        rivals: number of similar classes; all others where there are fewer.
        strength: weight of what they share, which is taken away; 0 is Grad-CAM.
        rectify: True keeps the positive evidence only.

    Returns:
        `[batch, row, column]` on the layer's grid.

    Raises:
        BadOption: fewer than 1 rival.
        Refused: the target is not a class's score, so no class is its rival.
    """
    if rivals < 1:
        raise BadOption(f"Expected at least 1 rival class for finer-cam, got {rivals}.")
    others = probe.rivals(rivals)
    if others is None:
        raise Refused("finer-cam compares a class with other classes, so its target must be a class. Use grad-cam.")
    shared = gradient.new_zeros(gradient.shape)
    for pictures, _, g in probe.each(1, lambda rows, _, __: rows, _gradient, target=others):
        shared.index_add_(0, pictures, g)
    return grad_cam(activation, gradient - strength * shared, rectify=rectify)


def _gradient(gradient: Maps) -> Maps:
    return gradient


METHOD = Method(
    finer_cam,
    id="finer-cam",
    title="Finer-CAM",
    reference=Reference("arXiv:2501.11309", "definition of Finer-CAM"),
    caveat="Leaves out what the class shares with its rivals, however important; needs class scores.",
)
