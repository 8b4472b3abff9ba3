"""Connected parts of masks, in any number of axes, and their boxes, in whole pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
"""`[*axes]`, True where the thing is."""


def components(mask: Mask, most: int | None = None) -> list[Mask]:
    """The connected parts of a mask, the largest first; of equal ones the one that begins sooner in reading order."""
    labels, order = _labelled(mask, most)
    return [np.asarray(labels == number + 1) for number in order]


def boxes_of_parts(mask: Mask, most: int | None = None) -> list[tuple[int, ...]]:
    """The boxes of the connected parts, in the order of `components`: left, top, right and bottom.

    On other axes where a part begins along each, the last axis first, and then where it ends.
    """
    from scipy import ndimage

    labels, order = _labelled(mask, most)
    slices = ndimage.find_objects(labels)
    found = (slices[number][::-1] for number in order)
    return [(*(side.start for side in sides), *(side.stop for side in sides)) for sides in found]


def box_of(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a picture's mask that is not empty; the last two are exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _labelled(mask: Mask, most: int | None) -> tuple[NDArray[np.int32], list[int]]:
    from scipy import ndimage

    touching = np.ones((3,) * mask.ndim, bool)  # those belong together that share an edge or a corner
    labels, count = ndimage.label(mask, structure=touching)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return labels, np.argsort(-sizes, kind="stable")[:most].tolist()
