"""Where one target is in one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.contracts import Box
from pellucid.localisation.rules import MaskRule
from pellucid.localisation.segments import Segment
from pellucid.results import Result


@dataclass(frozen=True, eq=False)
class Located(Result):
    """Where one target is in one picture.

    Attributes:
        name: of the picture, for people; untrusted text.
        size: rows and columns of the picture.
        seen: the part of it that the map covers: left, top, right, bottom.
        image: the picture; None when a tensor was given.
        target: what was looked for, in words.
        label: the class's number in the model's output; None for targets that are no class.
        probability: of the class in this picture, 0 to 1; None where it is not known.
        values: the map `[row, column]` of what was seen, signed, at the resolution at which the model sees it.
        rule: how the map became a mask.
        segments: what was found, the largest part first; empty when there is nothing.
        notes: what the reader must know ("nothing found: the map has no positive evidence").
    """

    name: str
    size: tuple[int, int]
    seen: Box
    image: Image.Image | None
    target: str
    label: int | None
    probability: float | None
    values: NDArray[np.float64]
    rule: MaskRule
    segments: tuple[Segment, ...]
    notes: tuple[str, ...] = ()

    @property
    def box(self) -> Box | None:
        """Left, top, right, bottom of the largest part; None when nothing was found."""
        return self.segments[0].box if self.segments else None

    def draw(self) -> Image.Image:
        """The picture with boxes and masks; for tensors the map, drawn the same way."""
        found: Image.Image = self._do("draw")
        return found
