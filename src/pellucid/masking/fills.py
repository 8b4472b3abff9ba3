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

Signals and volumes are hidden in the same ways, along their one or three axes. The columns of a table are in units of
their own, so that a number, or a tensor with a value for each column, is all that can stand for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.contracts import Maps, Noise, PartLike, cut, joined
from pellucid.errors import BadOption
from pellucid.held import as_pictures
from pellucid.numerics import crops, gaussian_blur, places

NAMED = ("mean", "blur", "noise", "inpaint")

BLUR = 0.1
"""Standard deviation of the blur, as a fraction of the picture's shortest side."""
_RESIDUE = 1e-12
"""Inpainting stops when the squared error has fallen to this fraction of what it was; float32 carries 1e-14."""


class ReadsPictures(Protocol):
    """What reads other pictures for a model: a probe, or what a metric asks."""

    @property
    def is_tabular(self) -> bool:
        """Whether the model takes rows of features."""

    @property
    def parts(self) -> Sequence[PartLike]:
        """What is known of each of several inputs that are explained together; empty for a lone one."""

    def picture(self, name: str) -> Maps:
        """A file or a sample, as the model's input `[1, channel, row, column]`."""


@dataclass(frozen=True, eq=False)
class Fill:
    """What hides, for a batch of pictures.

    Attributes:
        image: the pictures `[batch, channel, *axes]`.
        cover: what is seen instead of them, of the same shape; None when it depends on what is hidden (`inpaint`).
    """

    image: Maps
    cover: Maps | None

    def hide(self, rows: Maps, samples: Tensor, hidden: Tensor, corners: Tensor | None = None) -> Maps:
        """Replace the hidden part of copies of pictures, or of parts of pictures.

        Args:
            rows: `[n, channel, *size]`; overwritten.
            samples: which picture each row is of, `[n]`.
            hidden: true where the fill is seen, `[n or 1, channel or 1, *size]`.
            corners: where each begins in its picture, `[n, axis]`; None when rows are whole pictures.
        """
        size = tuple(rows.shape[2:])
        if self.cover is not None:
            return torch.where(hidden, crops(self.cover, samples, corners, size), rows)
        if corners is None:
            return inpaint(rows, hidden.expand(len(rows), *hidden.shape[1:]))
        return self._inpaint_crops(samples, hidden, corners, size)

    def _inpaint_crops(self, samples: Tensor, hidden: Tensor, corners: Tensor, size: tuple[int, ...]) -> Maps:
        """Inpainting needs the ring of pixels around a crop; beyond the picture's edge the edge is repeated."""
        ring = (1, 1) * len(size)
        framed = F.pad(self.image, ring, mode="replicate")
        wide = crops(framed, samples, corners, [length + 2 for length in size])
        holes = F.pad(hidden.expand(len(samples), *hidden.shape[1:]), ring)
        picture = corners.new_tensor([[0] * len(size) + list(self.image.shape[2:])])
        filled = inpaint(wide, holes, inside(picture, corners - 1, wide.shape))
        inner: tuple[Any, ...] = (..., *(slice(1, -1) for _ in size))
        return filled[inner]


def fill_of(method: str, kind: float | str | Tensor, image: Maps, probe: ReadsPictures, rng: Noise) -> Fill:
    """What the option `fill` names; errors name the `method`.

    Raises:
        BadOption: a name that is neither a fill nor a picture, a picture for a model without preprocessing, or a fill
            for tables that mixes their columns.
        BadPicture: the other picture cannot be read.
    """
    if isinstance(kind, Tensor):
        return Fill(image, as_pictures(method, "fill", kind, image))
    if probe.parts:
        pieces = zip(probe.parts, cut(image, [each.part for each in probe.parts]), strict=True)
        return Fill(image, joined([_cover(method, kind, piece, each, rng) for each, piece in pieces]))
    if not isinstance(kind, str):
        return Fill(image, image.new_full((1,) * image.ndim, kind).expand_as(image))
    if kind in NAMED and probe.is_tabular:
        raise BadOption(
            f"The columns of a table are in units of their own, which {kind!r} would mix: give {method} a number as "
            "fill, or in Python a tensor with one value for each column, such as their means over the other rows."
        )
    if kind == "inpaint":
        return Fill(image, None)
    if kind == "mean":
        return Fill(image, image.mean(places(image), keepdim=True).expand_as(image))
    if kind == "blur":
        return Fill(image, blurred(image, BLUR))
    if kind == "noise":
        draws = rng.normal(torch.zeros(len(image), dtype=torch.long), image)
        axes = places(image)
        return Fill(image, image.mean(axes, keepdim=True) + image.std(axes, keepdim=True) * draws)
    if not set(kind) & set(".:/"):  # no file and no sample is called so
        raise BadOption(f"Expected a number, {', '.join(NAMED)} or a picture as fill of {method}, got {kind!r}.")
    return Fill(image, probe.picture(kind).expand_as(image))


def _cover(method: str, kind: float | str, image: Maps, probe: PartLike, rng: Noise) -> Maps:
    """What hides one of several inputs.

    Raises:
        BadOption: it depends on what is hidden, which may lie in another of them.
    """
    fill = fill_of(method, kind, image, probe, rng)
    if fill.cover is None:
        raise BadOption(f"{method} cannot inpaint several inputs together. Name another fill.")
    return fill.cover


def inside(boxes: Tensor, corners: Tensor, shape: torch.Size) -> Tensor:
    """Which places of parts of pictures, of this shape and beginning at `corners`, lie in the boxes `[n, 2 axes]`.

    Returns:
        bool `[n, 1, *axes]`.
    """
    axes = corners.shape[1]
    seen = torch.ones(len(corners), *(1,) * (axes + 1), dtype=torch.bool, device=corners.device)
    for k in range(axes):
        place = corners[:, k, None] + torch.arange(shape[2 + k], device=corners.device)
        within = (place >= boxes[:, k, None]) & (place < boxes[:, axes + k, None])
        seen = seen & within.reshape(len(within), *(1,) * (k + 1), -1, *(1,) * (axes - 1 - k))
    return seen


def blurred(image: Maps, width: float) -> Maps:
    """Pictures blurred by `width`, a fraction of their shortest side.

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
        pictures: `[n, channel, *axes]`.
        hidden: true in the holes, `[n, channel or 1, *axes]`.
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
        step = error / (direction * image).sum(places(x), keepdim=True).clamp(min=torch.finfo(values.dtype).tiny)
        x, residue = x + step * direction, residue - step * image
        before, error = error, _squares(residue)
        direction = residue + error / before.clamp(min=torch.finfo(values.dtype).tiny) * direction
    return torch.where(hidden, x.to(pictures.dtype), pictures)


def _neighbours(x: Tensor) -> Tensor:
    """Sum over the pixels above, below, left and right: those one step away along each axis, before and behind."""
    total = torch.zeros_like(x)
    for axis in places(x):
        inner = x.shape[axis] - 1
        total.narrow(axis, 1, inner).add_(x.narrow(axis, 0, inner))
        total.narrow(axis, 0, inner).add_(x.narrow(axis, 1, inner))
    return total


def _squares(x: Tensor) -> Tensor:
    return (x * x).sum(places(x), keepdim=True)
