"""Guided Grad-CAM: the product of two methods."""

from collections.abc import Callable

from torch import Tensor

from pellucid.contracts import Evidence, Maps, Method, Reference
from pellucid.methods._rectified import check_activations
from pellucid.methods.grad_cam import grad_cam


def guided_grad_cam(
    activation: Maps,
    gradient: Maps,
    image_gradient: Maps,
    uncovered: tuple[str, ...],
    enlarge: Callable[[Tensor], Tensor],
    *,
    other_activations: str = "refuse",
) -> Evidence:
    """The fine structure of guided backprop where Grad-CAM sees the class.

    raw = guided backprop x Grad-CAM, the latter resized bilinearly to the input.

    Args:
        activation: values at the layer, `[batch, channel, row, column]`.
        gradient: gradient at the layer, of the same shape.
        image_gradient: the input's gradient under the guided rule, `[batch, channel, row, column]`.
        uncovered: activations of the network that have no rectifier rule.
        enlarge: resizes maps of the layer to the picture.
        other_activations: `refuse` them, or treat them as `plain` gradients, which the result then records.

    Returns:
        Shaped as the input; reduced by `max-abs` for the map.
    """
    coarse = enlarge(grad_cam(activation, gradient))
    notes = check_activations(METHOD.id, uncovered, other_activations)
    return Evidence(image_gradient * coarse[:, None].to(image_gradient.dtype), notes=notes)


METHOD = Method(
    guided_grad_cam,
    id="guided-grad-cam",
    title="Guided Grad-CAM",
    reference=Reference("arXiv:1610.02391", "section 3.2"),
    caveat="Class-specific only as far as Grad-CAM is; the fine structure inside is guided backprop's and is not.",
    rule="guided",
    reduce="max-abs",
)
