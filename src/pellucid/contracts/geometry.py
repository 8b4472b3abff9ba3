"""How pixels of a picture, of a model's input and of a layer's grid lie on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
from pellucid.contracts.axes import Box


@dataclass(frozen=True)
class Canvas:
    """The plane that the layers of a network see when it resizes and pads pictures itself.

    Attributes:
        size: rows and columns.
        part: rows and columns of the picture on it, which lies in the upper left corner.
    """

    size: tuple[int, int]
    part: tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """How the pixels of a picture, as it was given, lie in the model's input.

    Attributes:
        picture: rows and columns of the picture as given.
        box: the part of it that the input shows, in its pixels.
        size: rows and columns of the input.
    """

    picture: tuple[int, int]
    box: Box
    size: tuple[int, int]

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Frame:
        """That of a tensor, which is the input itself."""
        return cls(size, (0.0, 0.0, float(size[1]), float(size[0])), size)

    def into(self, box: Box) -> Box:
        """A box in pixels of the picture, in those of the input; it may reach beyond."""
        return self._mapped(box, *self._scale(), self.box[:2], (0.0, 0.0))

    def back(self, box: Box) -> Box:
        """A box in pixels of the input, in those of the picture."""
        across, down = self._scale()
        return self._mapped(box, 1 / across, 1 / down, (0.0, 0.0), self.box[:2])

    def _scale(self) -> tuple[float, float]:
        left, top, right, bottom = self.box
        return self.size[1] / (right - left), self.size[0] / (bottom - top)

    @staticmethod
    def _mapped(box: Box, across: float, down: float, origin: tuple[float, float], onto: tuple[float, float]) -> Box:
        left, right = ((x - origin[0]) * across + onto[0] for x in (box[0], box[2]))
        top, bottom = ((y - origin[1]) * down + onto[1] for y in (box[1], box[3]))
        return left, top, right, bottom
