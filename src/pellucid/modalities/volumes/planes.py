"""How a volume is cut for the eye: three planes, turned as people look at bodies where the file says how it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pellucid.contracts import Sample
from pellucid.modalities.volumes.space import NAMES

_TITLES = {"L": "sagittal", "R": "sagittal", "P": "coronal", "A": "coronal", "I": "axial", "S": "axial"}
_OPPOSITE = dict(zip("LRPAIS", "RLAPSI", strict=True))
_UP, _LEFT = "SA", "RA"
"""What is drawn at the top and at the left, by custom; letters at the edges say it."""


@dataclass(frozen=True)
class Plane:
    """A way to cut.

    Attributes:
        axis: of the array, that it stands across.
        title: `axial`, `coronal`, `sagittal`, or the axis' name where the file says not how it lies.
        down, right: the axes of the array that run along the drawing's rows and columns.
        turn_down, turn_right: whether they run the other way there.
        ends: letters at the top, bottom, left and right; "" where not known.
    """

    axis: int
    title: str
    down: int
    right: int
    turn_down: bool
    turn_right: bool
    ends: tuple[str, str, str, str]

    def cut(self, volume: NDArray[Any], place: int) -> NDArray[Any]:
        """A slice of `[depth, row, column]` as it is drawn."""
        return self.turned(volume.take(place, self.axis))

    def turned(self, flat: NDArray[Any]) -> NDArray[Any]:
        """Values `[*the other two axes]`, in the array's order, as they are drawn."""
        found = flat if self.down < self.right else flat.T
        return found[:: -1 if self.turn_down else 1, :: -1 if self.turn_right else 1]


def planes(sample: Sample) -> tuple[Plane, ...]:
    """Planes across the first, second and third axis of its array."""
    letters = str(sample.geometry.get("letters") or "")
    return tuple(_plane(axis, letters) for axis in range(3))


def _plane(axis: int, letters: str) -> Plane:
    first, second = (k for k in range(3) if k != axis)
    if not letters:
        return Plane(axis, NAMES[axis], first, second, False, False, ("", "", "", ""))
    down, right = (first, second) if _upright(letters[first]) >= _upright(letters[second]) else (second, first)
    bottom, side = letters[down], letters[right]
    turn_down, turn_right = bottom in _UP, side in _LEFT
    low, far = (_OPPOSITE[bottom] if turn_down else bottom), (_OPPOSITE[side] if turn_right else side)
    return Plane(axis, _TITLES[letters[axis]], down, right, turn_down, turn_right,
                 (_OPPOSITE[low], low, _OPPOSITE[far], far))  # fmt: skip


def _upright(letter: str) -> int:
    """Head over front over side."""
    return {"I": 2, "S": 2, "P": 1, "A": 1}.get(letter, 0)


def size_on_paper(sample: Sample, plane: Plane) -> tuple[float, float]:
    """Height and width of a slice, in millimetres or, where these are not known, voxels."""
    sizes, units = sample.tensor.shape[1:], sample.geometry.get("units", {})
    lengths = [size * units.get(name, (1.0, ""))[0] for name, size in zip(NAMES, sizes, strict=True)]
    return lengths[plane.down], lengths[plane.right]


def best_plane(sample: Sample, cuts: Sequence[Plane]) -> Plane:
    """The plane in which scans are read: that across the axis with the coarsest steps, axial among equals."""
    units = sample.geometry.get("units", {})
    steps = [round(units.get(name, (1.0, ""))[0], 3) for name in NAMES]
    return max(cuts, key=lambda plane: (steps[plane.axis], plane.title == "axial", -plane.axis))
