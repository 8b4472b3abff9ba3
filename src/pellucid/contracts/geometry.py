"""How pixels of a picture, of a model's input and of a layer's grid lie on each other."""

from __future__ import annotations

from dataclasses import dataclass

from pellucid.contracts.axes import Box


@dataclass(frozen=True)
class Canvas:
    """The plane that the layers of a network see when it resizes and pads pictures itself.

    Attributes:
        size: one number per axis, of a picture rows and columns.
        part: size of the picture on it, which lies in the upper left corner.
    """

    size: tuple[int, ...]
    part: tuple[int, ...]


@dataclass(frozen=True)
class Frame:
    """How the pixels of a picture, or of what else is explained, lie in the model's input.

    Attributes:
        picture: size of the picture as given, one number per axis: rows and columns.
        box: the part of it that the input shows, in its pixels.
        size: of the input, likewise.
    """

    picture: tuple[int, ...]
    box: Box
    size: tuple[int, ...]

    @classmethod
    def whole(cls, size: tuple[int, ...]) -> Frame:
        """That of a tensor, which is the input itself."""
        return cls(size, (*(0.0 for _ in size), *map(float, reversed(size))), size)

    def into(self, box: Box) -> Box:
        """A box in pixels of the picture, in those of the input; it may reach beyond."""
        return _mapped(box, self._scale(), self.box[: len(self.size)], (0.0,) * len(self.size))

    def back(self, box: Box) -> Box:
        """A box in pixels of the input, in those of the picture."""
        scale = tuple(1 / each for each in self._scale())
        return _mapped(box, scale, (0.0,) * len(self.size), self.box[: len(self.size)])

    def _scale(self) -> tuple[float, ...]:
        """Pixels of the input per pixel of the picture, along the last axis first, as boxes are."""
        axes = len(self.size)
        begins, ends = self.box[:axes], self.box[axes:]
        return tuple(n / (b - a) for n, a, b in zip(reversed(self.size), begins, ends, strict=True))


def _mapped(box: Box, scale: tuple[float, ...], origin: tuple[float, ...], onto: tuple[float, ...]) -> Box:
    return tuple((x - origin[k % len(scale)]) * scale[k % len(scale)] + onto[k % len(scale)] for k, x in enumerate(box))
