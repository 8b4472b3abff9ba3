"""From the canvas that coordinates were drawn on to the pixels of the picture that is judged.

A copy may be smaller or larger than what was annotated, and a camera's picture is stored as the sensor saw it, with a
mark (EXIF orientation, 1 to 8) that says how to turn it. An annotation may mean either. The sizes tell; where they do
not, nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.contracts import Box
from pellucid.errors import BadPicture
from pellucid.numerics import Mask

_BACK = {6: 8, 8: 6}
"""Turns whose opposite is another one; mirrorings and half turns are their own."""


@dataclass(frozen=True)
class Placement:
    """How a canvas lies on a picture.

    Attributes:
        canvas: columns and rows that coordinates count.
        size: rows and columns of the picture, upright.
        turn: EXIF orientation by which the canvas is turned first; 1: not at all.
    """

    canvas: tuple[float, float]
    size: tuple[int, int]
    turn: int = 1

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points `[point, x and y]` of the canvas lie on the picture."""
        return np.asarray(turned(points, self.canvas, self.turn) * self._scale)

    def back(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points of the picture lie on the canvas."""
        return np.asarray(turned(points / self._scale, self._upright, _BACK.get(self.turn, self.turn)))

    def box(self, box: Box) -> Box:
        """A box on the picture, cut off at its edges."""
        corners = self.points(np.array(box, float).reshape(2, 2)).clip(0, (self.size[1], self.size[0]))
        (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
        return left, top, right, bottom

    @property
    def _upright(self) -> tuple[float, float]:
        return swapped(self.canvas, self.turn)

    @property
    def _scale(self) -> NDArray[np.float64]:
        return np.asarray(np.array([self.size[1], self.size[0]]) / np.array(self._upright))


def placed(canvas: tuple[float, float], size: tuple[int, int], turn: int, what: str) -> Placement:
    """How a canvas lies on a picture that is its copy, at any scale.

    Args:
        canvas: columns and rows.
        size: rows and columns of the picture, upright.
        turn: EXIF orientation that the picture's file is stored with.
        what: the picture, for messages.

    Raises:
        BadPicture: the sizes are not those of a copy, or do not say whether it was annotated upright or as stored.
    """
    shown = (size[1], size[0])
    ways = [way for way in dict.fromkeys((1, turn)) if _alike(swapped(canvas, way), shown)]
    drawn = f"was annotated on {canvas[0]:g} x {canvas[1]:g} pixels"
    if not ways:
        raise BadPicture(
            f"{what} {drawn} and has {shown[0]} x {shown[1]}, so it is another cut of the picture. Judge the picture "
            "that was annotated, or a copy of it at one scale."
        )
    if len(ways) > 1:
        raise BadPicture(
            f"{what} {drawn} and is stored turned or mirrored (EXIF orientation {turn}): whether it was annotated "
            "upright or as it is stored cannot be told. Save the picture upright, without that mark."
        )
    return Placement(canvas, size, ways[0])


def swapped(canvas: tuple[float, float], turn: int) -> tuple[float, float]:
    """Columns and rows after a turn."""
    return (canvas[1], canvas[0]) if turn >= 5 else canvas


def turned(points: NDArray[np.float64], canvas: tuple[float, float], turn: int) -> NDArray[np.float64]:
    """Points `[point, x and y]` after the turn that makes a stored picture upright."""
    (width, height), (x, y) = canvas, points.T
    ways = {
        1: (x, y), 2: (width - x, y), 3: (width - x, height - y), 4: (x, height - y),
        5: (y, x), 6: (height - y, x), 7: (height - y, width - x), 8: (y, width - x),
    }  # fmt: skip
    return np.stack(ways[turn], 1)


def turned_mask(mask: Mask, turn: int) -> Mask:
    """A mask `[row, column]` after the turn that makes a stored picture upright."""
    across = mask[:, ::-1] if turn in (2, 3, 7, 8) else mask
    both = across[::-1] if turn in (3, 4, 6, 7) else across
    return np.ascontiguousarray(both.T if turn >= 5 else both)


def _alike(canvas: tuple[float, float], shown: tuple[int, int]) -> bool:
    """Whether one scale makes both sides, each rounded up or down to whole pixels."""
    least = max((side - 1) / drawn for side, drawn in zip(shown, canvas, strict=True))
    most = min((side + 1) / drawn for side, drawn in zip(shown, canvas, strict=True))
    return least < most
