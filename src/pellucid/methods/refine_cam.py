"""Refine-CAM."""

from pellucid.contracts import Map, Maps, Method, Reference
from pellucid.methods.grad_cam_plus_plus import grad_cam_plus_plus


def refine_cam(activation: Maps, gradient: Maps) -> Map:
    """What layers of every size agree on: the product of their Grad-CAM++ maps.

    map = prod_l resize((M_l - min M_l) / (max M_l - min M_l)) over the layers l, with M_l the Grad-CAM++ map of layer
    l. This function is M_l; the product is that of `engine/fusion.py`. The equation is what two public implementations
    that name the paper have in common; the paper itself was not at hand. The layers are those that you name, else the
    last ones of the three coarsest sizes of grid, which is Pellucid's own choice. For the product of another method's
    maps name that method and `fuse="product"`.

    Args:
        activation: A, `[batch, channel, row, column]`.
        gradient: g, of the same shape.

    Returns:
        M_l, `[batch, row, column]` on the layer's grid.
    """
    return grad_cam_plus_plus(activation, gradient)


METHOD = Method(
    refine_cam,
    id="refine-cam",
    title="Refine-CAM",
    reference=Reference("arXiv:2605.14641", "as public code has it"),
    caveat="One layer that misses a place hides it from the map, however clearly all others see it.",
    fuse="product",
)
