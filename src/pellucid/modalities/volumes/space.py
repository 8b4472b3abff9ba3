"""Where the voxels of a volume lie in the patient: affine maps from array places to millimetres (R+, A+, S+)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.contracts import AxisName
from pellucid.errors import BadSample

_SHEAR = 1e-3
"""Cosine of two axes up to which they count as at right angles: a voxel in a thousand."""
_ENDS = ("LR", "PA", "IS")
NAMES: tuple[AxisName, ...] = ("depth", "row", "column")
"""Of the axes of a volume, in the order of its array."""

Affine = tuple[tuple[float, ...], ...]
"""4 x 4, row by row."""


def checked_affine(name: str, affine: NDArray[Any]) -> NDArray[np.float64]:
    """An affine map as it is, if its axes stand at right angles to each other.

    Args:
        name: of the file.
        affine: 4 x 4, from places in the array to millimetres.

    Raises:
        BadSample: it is not finite, folds space, or is sheared.
    """
    found = np.asarray(affine, np.float64)
    steps = np.linalg.norm(found[:3, :3], axis=0)
    if not np.isfinite(found).all() or not steps.all():
        raise BadSample(f"The affine map of {name!r} is not finite or has an axis of length 0: {found[:3].tolist()}.")
    sides = found[:3, :3] / steps
    cosine, first, second = max((abs(float(sides[:, a] @ sides[:, b])), a, b) for a, b in ((0, 1), (0, 2), (1, 2)))
    if cosine > _SHEAR:
        angle = np.degrees(np.arccos(min(cosine, 1.0)))
        raise BadSample(
            f"The affine map of {name!r} is sheared: its {NAMES[first]} and {NAMES[second]} axes stand at "
            f"{angle:.1f} degrees, not 90. Resample it onto a grid with right angles, or give its array without the "
            "map: kind='volume' with a .npy file or a tensor."
        )
    return found


def steps_of(affine: NDArray[np.float64]) -> tuple[float, ...]:
    """Millimetres between neighbouring voxels along the three axes."""
    return tuple(float(x) for x in np.linalg.norm(affine[:3, :3], axis=0))


def letters_of(affine: NDArray[np.float64]) -> str:
    """To which side each axis of the array runs most, such as `RAS`: a letter each of L R, P A, I S.

    Each of the three directions of the body is given to one axis, the clearest first.
    """
    sides = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    left, found = np.abs(sides), ["", "", ""]
    for _ in NAMES:
        body, axis = np.unravel_index(int(left.argmax()), left.shape)
        found[int(axis)] = _ENDS[int(body)][int(sides[body, axis] > 0)]
        left[body, :] = left[:, axis] = -1.0
    return "".join(found)


def plain(affine: NDArray[np.float64]) -> Affine:
    """As plain numbers, which results hold."""
    return tuple(tuple(float(x) for x in row) for row in affine)


def geometry(affine: NDArray[np.float64]) -> dict[str, Any]:
    """What a sample says of where it lies."""
    units = {name: (step, "mm") for name, step in zip(NAMES, steps_of(affine), strict=True)}
    return {"affine": plain(affine), "letters": letters_of(affine), "units": units}


def uneven(positions: NDArray[np.float64]) -> tuple[int, str] | None:
    """The first place where sorted positions along a line are not equally far apart, and what is wrong there.

    Args:
        positions: millimetres, rising, `[slice]`.

    Returns:
        The number of the position before it, and "twice", "missing" or "unequal"; None where all is well.
    """
    gaps = [float(b - a) for a, b in pairwise(positions)]
    usual = float(np.median(gaps)) if gaps else 0.0
    for number, gap in enumerate(gaps):
        if gap <= max(1e-3, 0.01 * usual):
            return number, "twice"
        if gap > 1.5 * usual:
            return number, "missing"
        if abs(gap - usual) > max(0.01, 0.02 * usual):
            return number, "unequal"
    return None
