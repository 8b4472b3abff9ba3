"""Small tensor functions that know nothing of networks: axes, resizing, blur, connected components."""

from pellucid.numerics.blur import gaussian_blur
from pellucid.numerics.connected_components import Mask, box_of, boxes_of_parts, components
from pellucid.numerics.tensors import (
    CHANNEL,
    SPACE,
    all_finite,
    along_axes,
    crops,
    full_precision,
    max_abs,
    onto_picture,
    per_row,
    places,
    product,
    ranks,
    rescaled_map,
    resize,
    resize_picture,
    safe_divide,
    sums_up,
)

__all__ = [
    "CHANNEL",
    "SPACE",
    "Mask",
    "all_finite",
    "along_axes",
    "box_of",
    "boxes_of_parts",
    "components",
    "crops",
    "full_precision",
    "gaussian_blur",
    "max_abs",
    "onto_picture",
    "per_row",
    "places",
    "product",
    "ranks",
    "rescaled_map",
    "resize",
    "resize_picture",
    "safe_divide",
    "sums_up",
]
