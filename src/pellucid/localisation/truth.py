"""What is known about one picture: things, their boxes and outlines, and the canvas that they were drawn on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid.contracts import Box
from pellucid.errors import BadPicture
from pellucid.localisation.coco import from_run_lengths, sampled
from pellucid.numerics import Mask
from pellucid.pictures.canvas import Placement, placed
from pellucid.pictures.geometry import window

_SLACK = 1.0
"""How far boxes may reach beyond their picture, in pixels: layouts disagree on where the last pixel ends."""


@dataclass(frozen=True, eq=False)
class Thing:
    """One thing in a picture.

    Attributes:
        name: of its class, as it was written.
        box: left, top, right, bottom in pixels of its canvas; edges between pixels, counted from 0.
        labels: the model's classes that are right answers; empty before they are matched.
        drawn: its outline as COCO writes it (polygons or run lengths), or a mask; None: only the box is known.
        difficult: marked so in VOC.
    """

    name: str
    box: Box
    labels: tuple[int, ...] = ()
    drawn: Any = None
    difficult: bool = False

    def mask(self, size: tuple[int, int]) -> Mask:
        """Its pixels in a picture of so many rows and columns; those of the box where no outline is known."""
        if isinstance(self.drawn, np.ndarray):
            return self.drawn
        if self.drawn is None:
            left, top, right, bottom = window(self.box)
            mask = np.zeros(size, bool)
            mask[max(top, 0) : bottom, max(left, 0) : right] = True
            return mask
        if isinstance(self.drawn, Mapping):
            return from_run_lengths(self.drawn, size)
        return _filled(self.drawn, size)

    def on(self, placement: Placement | None, size: tuple[int, int], turn: int, what: str) -> Thing:
        """The same in pixels of a picture.

        Args:
            placement: of the canvas on the picture; None: the box is in the picture's pixels already.
            size: rows and columns of the picture, upright.
            turn: EXIF orientation that its file is stored with.
            what: the picture, for messages.

        Raises:
            BadPicture: the box, the mask or the run lengths are of another picture.
        """
        if placement is None:
            _check_inside(self, (size[1], size[0]), what)
            placement = Placement((size[1], size[0]), size)
        drawn = self.drawn
        if isinstance(drawn, np.ndarray):
            if drawn.shape != size:
                raise BadPicture(f"{what} has {size[1]} x {size[0]} pixels and the mask {drawn.shape[::-1]}.")
        elif isinstance(drawn, Mapping):
            rows, columns = drawn["size"]
            drawn = sampled(drawn, placed((columns, rows), size, turn, what))
        elif drawn is not None:
            drawn = [placement.points(np.asarray(flat, float).reshape(-1, 2)).ravel() for flat in drawn]
        return replace(self, box=placement.box(self.box), drawn=drawn)


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known about one picture.

    Attributes:
        name: of its file; without an ending where the layout gives none.
        things: in it.
        canvas: columns and rows that the coordinates count, as written; None where nothing says so.
        paths: under which the picture may be known; empty: the name.
    """

    name: str
    things: tuple[Thing, ...]
    canvas: tuple[int, int] | None = None
    paths: tuple[str, ...] = ()

    def on(self, size: tuple[int, int], turn: int = 1) -> Truth:
        """The same in pixels of a picture: scaled to its size, and turned as it is where it was annotated as stored.

        Args:
            size: rows and columns of the picture, upright.
            turn: EXIF orientation that its file is stored with; 1: none.

        Raises:
            BadPicture: it is no copy of what was annotated, or how it was turned cannot be told.
        """
        placement = None if self.canvas is None else placed(self.canvas, size, turn, repr(self.name))
        things = tuple(thing.on(placement, size, turn, repr(self.name)) for thing in self.things)
        return replace(self, things=things, canvas=(size[1], size[0]))


def within(box: Box, canvas: Sequence[float]) -> bool:
    """Whether a box lies on a canvas of so many columns and rows, but for a pixel."""
    return box[0] >= -_SLACK and box[1] >= -_SLACK and box[2] <= canvas[0] + _SLACK and box[3] <= canvas[1] + _SLACK


def _check_inside(thing: Thing, shown: tuple[int, int], what: str) -> None:
    if not within(thing.box, shown):
        edges = ", ".join(f"{edge:g}" for edge in thing.box)
        raise BadPicture(
            f"{what} has {shown[0]} x {shown[1]} pixels, but the box of {thing.name!r} ends at {edges}: it was drawn "
            "on another copy, whose size the annotations do not say. Judge the picture that was annotated."
        )


def _filled(outlines: Iterable[Sequence[float]], size: tuple[int, int]) -> Mask:
    """The pixels whose centres lie in any of the outlines `x, y, x, y, ...`, given by the edges between pixels."""
    from skimage.draw import polygon

    mask = np.zeros(size, bool)
    for flat in outlines:
        points = np.asarray(flat, float).reshape(-1, 2) - 0.5
        mask[polygon(points[:, 1], points[:, 0], size)] = True  # type: ignore[no-untyped-call]
    return mask
