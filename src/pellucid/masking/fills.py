"""What is put where a part of a picture is hidden: a colour, a blur, noise, another picture, or what lies around it.

Every method that hides something takes the same `fill`:

| `fill` | what hides |
|---|---|
| a number | that value of the model's normalised space; 0 is the mean colour of its training data |
| `mean` | each picture's own mean colour |
| `blur` | the picture itself, blurred by a tenth of its shorter side |
| `noise` | normal noise with each picture's mean and deviation per channel, drawn from the seed |
| `inpaint` | the smooth surface that continues what lies around the hidden part (Laplace's equation) |
| `photo.jpg`, `sample:coffee`, ... | another picture, read as the explained ones are |
| a tensor | in Python: a colour `[channel]`, a picture `[channel, row, column]`, or one for each picture |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.contracts import Maps, Noise
from pellucid.errors import BadOption
from pellucid.held import as_pictures
from pellucid.numerics import crops, gaussian_blur

NAMED = ("mean", "blur", "noise", "inpaint")

BLUR = 0.1
"""Standard deviation of the blur, as a fraction of the picture's shorter side."""
_RESIDUE = 1e-12
"""Inpainting stops when the squared error has fallen to this fraction of what it was; float32 carries 1e-14."""


class ReadsPictures(Protocol):
    """What reads other pictures for a model: a probe, or what a metric asks."""

    def picture(self, name: str) -> Maps:
        """A file or a sample, as the model's input `[1, channel, row, column]`."""


@dataclass(frozen=True, eq=False)
class Fill:
    """What hides, for a batch of pictures.

    Attributes:
        image: the pictures `[batch, channel, row, column]`.
        cover: what is seen instead of them, of the same shape; None when it depends on what is hidden (`inpaint`).
    """

    image: Maps
    cover: Maps | None

    def hide(self, rows: Maps, samples: Tensor, hidden: Tensor, corners: Tensor | None = None) -> Maps:
        """Replace the hidden part of copies of pictures, or of parts of pictures.

        Args:
            rows: `[n, channel, height, width]`; overwritten.
            samples: which picture each row is of, `[n]`.
            hidden: true where the fill is seen, `[n or 1, 1, height, width]`.
            corners: first row and column of each in its picture, `[n, 2]`; None when rows are whole pictures.
        """
        size = (rows.shape[2], rows.shape[3])
        if self.cover is not None:
            return torch.where(hidden, crops(self.cover, samples, corners, size), rows)
        if corners is None:
            return inpaint(rows, hidden.expand(len(rows), -1, -1, -1))
        return self._inpaint_crops(samples, hidden, corners, size)

    def _inpaint_crops(self, samples: Tensor, hidden: Tensor, corners: Tensor, size: tuple[int, int]) -> Maps:
        """Inpainting needs the ring of pixels around a crop; beyond the picture's edge the edge is repeated."""
        framed = F.pad(self.image, (1, 1, 1, 1), mode="replicate")
        wide = crops(framed, samples, corners, (size[0] + 2, size[1] + 2))
        holes = F.pad(hidden.expand(len(samples), -1, -1, -1), (1, 1, 1, 1))
        picture = corners.new_tensor([[0, 0, *self.image.shape[2:]]])
        return inpaint(wide, holes, inside(picture, corners - 1, wide.shape))[:, :, 1:-1, 1:-1]


def fill_of(method: str, kind: float | str | Tensor, image: Maps, probe: ReadsPictures, rng: Noise) -> Fill:
    """What the option `fill` names; errors name the `method`.

    Raises:
        BadOption: a name that is neither a fill nor a picture, or a picture for a model without preprocessing.
        BadPicture: the other picture cannot be read.
    """
    if isinstance(kind, Tensor):
        return Fill(image, as_pictures(method, "fill", kind, image))
    if not isinstance(kind, str):
        return Fill(image, torch.full_like(image[:1, :, :1, :1], kind).expand_as(image))
    if kind == "inpaint":
        return Fill(image, None)
    if kind == "mean":
        return Fill(image, image.mean((2, 3), keepdim=True).expand_as(image))
    if kind == "blur":
        return Fill(image, blurred(image, BLUR))
    if kind == "noise":
        draws = rng.normal(torch.zeros(len(image), dtype=torch.long), image)
        return Fill(image, image.mean((2, 3), keepdim=True) + image.std((2, 3), keepdim=True) * draws)
    if not set(kind) & set(".:/"):  # no file and no sample is called so
        raise BadOption(f"Expected a number, {', '.join(NAMED)} or a picture as fill of {method}, got {kind!r}.")
    return Fill(image, probe.picture(kind).expand_as(image))


def inside(boxes: Tensor, corners: Tensor, shape: torch.Size) -> Tensor:
    """Which pixels of parts of pictures, of this shape and beginning at `corners`, lie in the boxes `[n, 4]`."""
    place = [corners[:, k, None] + torch.arange(shape[2 + k], device=corners.device) for k in (0, 1)]
    down, across = ((p >= boxes[:, k, None]) & (p < boxes[:, 2 + k, None]) for k, p in enumerate(place))
    return (down[:, :, None] & across[:, None, :])[:, None]


def blurred(image: Maps, width: float) -> Maps:
    """Pictures blurred by `width`, a fraction of their shorter side.

    Weights outside the picture are left out instead of counted as 0, so that edges keep their tone.
    """
    return smoothed(image, width * min(image.shape[2:]))


def smoothed(image: Maps, sigma: float, truncate: float = 4.0) -> Maps:
    """Pictures blurred by `sigma` pixels, as far as `truncate` times that, weights outside left out."""
    widths = image.new_full((len(image),), sigma)
    weight = gaussian_blur(torch.ones_like(image[:, :1]), widths, truncate)
    return gaussian_blur(image, widths, truncate) / weight


def inpaint(pictures: Maps, hidden: Tensor, there: Tensor | None = None) -> Maps:
    """Fill holes with the surface that solves Laplace's equation between the pixels around them.

    Each hidden pixel becomes the mean of its neighbours, those outside the picture left out; solved by conjugate
    gradients, in float32 or better. A picture of which nothing is left becomes 0.

    Args:
        pictures: `[n, channel, row, column]`.
        hidden: true in the holes, `[n, 1, row, column]`.
        there: false where there is no picture, of the same shape; None when all of it is.
    """
    values = pictures.to(torch.promote_types(pictures.dtype, torch.float32))
    there = torch.ones_like(hidden) if there is None else there
    hole = (hidden & there).to(values)
    valid, known = there.to(values), (~hidden & there).to(values)
    # a hole that touches nothing known has no answer but 0: the small pull towards 0 is felt only there
    degree = _neighbours(valid) + torch.finfo(values.dtype).eps

    def apply(x: Tensor) -> Tensor:
        return hole * (degree * x - _neighbours(x))

    x = torch.zeros_like(values)
    residue = hole * _neighbours(known * values)
    direction, error = residue, _squares(residue)
    enough = _RESIDUE * error.amax()
    for _ in range(4 * sum(values.shape[2:])):
        if bool((error <= enough).all()):
            break
        image = apply(direction)
        step = error / (direction * image).sum((2, 3), keepdim=True).clamp(min=torch.finfo(values.dtype).tiny)
        x, residue = x + step * direction, residue - step * image
        before, error = error, _squares(residue)
        direction = residue + error / before.clamp(min=torch.finfo(values.dtype).tiny) * direction
    return torch.where(hidden, x.to(pictures.dtype), pictures)


def _neighbours(x: Tensor) -> Tensor:
    """Sum over the pixels above, below, left and right."""
    total = torch.zeros_like(x)
    total[:, :, 1:] += x[:, :, :-1]
    total[:, :, :-1] += x[:, :, 1:]
    total[:, :, :, 1:] += x[:, :, :, :-1]
    total[:, :, :, :-1] += x[:, :, :, 1:]
    return total


def _squares(x: Tensor) -> Tensor:
    return (x * x).sum((2, 3), keepdim=True)
