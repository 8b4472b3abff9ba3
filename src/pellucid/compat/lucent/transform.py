"""Transforms under lucent's names. Those that move pictures are joined into one sampling, see `Transform`.

Two things differ from lucent, where they darken the edge: pictures that are moved keep their size, and what comes in
from outside is the picture's mirror image. So a rim that makes room for a move is left out where pictures are rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.errors import BadOption
from pellucid.feature_visualisation.transforms import NONE, Transform

Move = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Moved:
    """A part of a `Transform`; called by itself it draws from torch's random state, as lucent's draw from NumPy's."""

    part: Transform

    def __call__(self, pictures: Tensor) -> Tensor:
        """The pictures moved."""
        return self.part.apply(pictures, 0, 1, int(torch.randint(2**31, ())), range(len(pictures)))


@dataclass(frozen=True)
class Padded:
    """A rim around pictures.

    Attributes:
        width: of the rim, in pixels.
        mode: `reflect`, or `constant`.
        value: of a constant rim.
    """

    width: int
    mode: str
    value: float

    def __call__(self, pictures: Tensor) -> Tensor:
        """The pictures within a rim, `2 * width` pixels more on each axis.

        Raises:
            BadOption: a mirror image of a picture that is no wider than the rim.
        """
        if self.mode == "constant":
            return F.pad(pictures, (self.width,) * 4, value=self.value)
        if self.width >= min(pictures.shape[2:]):
            raise BadOption(
                f"A mirrored rim of {self.width} pixels needs pictures of {self.width + 1} at least, got "
                f"{pictures.shape[2]} x {pictures.shape[3]}. Use mode='constant'."
            )
        return F.pad(pictures, (self.width,) * 4, mode="reflect")


def pad(w: int, mode: str = "reflect", constant_value: float = 0.5) -> Move:
    """A rim around pictures. Before moves it is left out, as they need no room; see the module."""
    if w < 0 or mode not in ("reflect", "constant"):
        raise BadOption(f"Expected a rim of 0 pixels or more, reflect or constant; got {w}, {mode!r}.")
    return Padded(w, mode, constant_value)


def jitter(d: int) -> Move:
    """Shift by whole pixels, d different ways in each direction."""
    if d < 2:
        raise BadOption(f"Expected a jitter of 2 pixels or more, got {d}.")
    return Moved(Transform(shifts=(d,)))


def random_scale(scales: Sequence[float]) -> Move:
    """Scale by one of these."""
    return Moved(Transform(scales=tuple(map(float, scales))))


def random_rotate(angles: Sequence[float], units: str = "degrees") -> Move:
    """Rotate by one of these."""
    if units.lower() in ("radians", "rads", "rad"):
        angles = torch.rad2deg(torch.tensor([float(a) for a in angles])).tolist()
    elif units.lower() != "degrees":
        raise BadOption(f"Angles are in degrees or radians, got {units!r}.")
    return Moved(Transform(angles=tuple(map(float, angles))))


def normalize() -> Move:
    """From 0 to 1 to what torchvision's ImageNet networks take."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return lambda pictures: (pictures - mean.to(pictures)) / std.to(pictures)


def preprocess_inceptionv1() -> Move:
    """From 0 to 1 to what the first Inception of TensorFlow takes."""
    return lambda pictures: pictures * 255 - 117


def compose(transforms: Sequence[Move]) -> Move:
    """One after the other."""

    def apply(pictures: Tensor) -> Tensor:
        for each in transforms:
            pictures = each(pictures)
        return pictures

    return apply


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
standard_transforms: list[Move] = [
    pad(12, mode="constant", constant_value=0.5),
    jitter(8),
    random_scale([1 + (k - 5) / 50.0 for k in range(11)]),
    random_rotate([*range(-10, 11), *[0] * 5]),
    jitter(4),
]


class Chain:
    """Transforms in the order in which they are given, those that move pictures joined where they stand together."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        self.parts: list[Transform | Move] = []
        for each, following in zip_longest(transforms, transforms[1:]):
            if not callable(each):
                raise BadOption(f"Expected functions of pictures as transforms, got {type(each).__name__}.")
            if isinstance(each, Padded) and isinstance(following, Moved):
                continue  # what comes in from outside is the picture's mirror image
            part = each.part if isinstance(each, Moved) else each
            last = self.parts[-1] if self.parts else None
            if isinstance(part, Transform) and isinstance(last, Transform) and _joins(last, part):
                self.parts[-1] = _joined(last, part)
            else:
                self.parts.append(part)

    def apply(self, pictures: Tensor, step: int, steps: int, seed: int, numbers: Sequence[int]) -> Tensor:
        """See `Transform.apply`."""
        for k, part in enumerate(self.parts):
            if isinstance(part, Transform):
                pictures = part.apply(pictures, step, steps, seed + 7919 * k, numbers)
            else:
                pictures = part(pictures)
        return pictures


def _joins(first: Transform, second: Transform) -> bool:
    """Whether both are one sampling: not where both scale, or both rotate."""
    return NONE.scales in (first.scales, second.scales) and NONE.angles in (first.angles, second.angles)


def _joined(first: Transform, second: Transform) -> Transform:
    scales = second.scales if first.scales == NONE.scales else first.scales
    angles = second.angles if first.angles == NONE.angles else first.angles
    return replace(first, shifts=first.shifts + second.shifts, scales=scales, angles=angles)
