"""Regularisers: what makes a picture rough, bright or busy. They are subtracted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.errors import BadOption
from pellucid.feature_visualisation.objectives.catalogue import Named, entry
from pellucid.feature_visualisation.objectives.context import ObjectiveContext
from pellucid.feature_visualisation.objectives.expression import Objective


@entry("tv")
@dataclass(frozen=True)
class TotalVariation(Named):
    """Roughness of the picture: sum of the absolute differences of neighbours. Subtract it."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and places."""
        x = seen.pictures
        return x.diff(dim=2).abs().sum((1, 2, 3)) + x.diff(dim=3).abs().sum((1, 2, 3))


@entry("l1")
@dataclass(frozen=True)
class L1(Named):
    """Distance of the picture from a constant: sum |x - level|. Subtract it."""

    level: float = 0.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and places."""
        return (seen.pictures - self.level).abs().sum((1, 2, 3))


@entry("l2")
@dataclass(frozen=True)
class L2(Named):
    """Squared distance of the picture from a constant: sum (x - level)^2. Subtract it."""

    level: float = 0.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and places."""
        return (seen.pictures - self.level).square().sum((1, 2, 3))


@entry("energy")
@dataclass(frozen=True)
class Energy(Named):
    """Squared L2 norm of the network's input, which is 0 for the mean picture: Simonyan et al.'s |I|^2. Subtract it."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and places."""
        return seen.given.square().sum((1, 2, 3))


@entry("blur")
@dataclass(frozen=True)
class Blur(Named):
    """Squared difference of the picture from itself `smoothed` by 3 x 3 (which is held fixed). Subtract it."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and places, halved."""
        x = seen.pictures
        return 0.5 * (x - smoothed(x).detach()).square().sum((1, 2, 3))


@entry("alpha")
@dataclass(frozen=True)
class Alpha(Named):
    """Mean opacity of pictures with alpha, 0 to 1. Multiply by 1 - alpha() to see what can be left out."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Mean over places."""
        return _opacity(self, seen).mean((1, 2))


@entry("blur_alpha")
@dataclass(frozen=True)
class BlurAlpha(Named):
    """Squared difference of the opacity from itself `smoothed` by 3 x 3 (which is held fixed). Subtract it."""

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over places, halved."""
        x = _opacity(self, seen)[:, None]
        return 0.5 * (x - smoothed(x).detach()).square().sum((1, 2, 3))


def _opacity(part: Objective, seen: ObjectiveContext) -> Tensor:
    if seen.opacity is None:
        raise BadOption(
            f"{part} is of pictures with alpha, and these have none. Set alpha, --alpha on the command line."
        )
    return seen.opacity


def smoothed(pictures: Tensor, width: int = 3) -> Tensor:
    """Each value's mean with its neighbours within the picture, `width` x `width`, those on the rim half as heavy."""

    def total(x: Tensor) -> Tensor:
        wide = F.avg_pool2d(x, width, 1, width // 2, divisor_override=1)
        return wide + F.avg_pool2d(x, width - 2, 1, width // 2 - 1, divisor_override=1)

    return total(pictures) / total(torch.ones_like(pictures[:1, :1]))


@entry("boundary")
@dataclass(frozen=True)
class Boundary(Named):
    """How much goes on near the edge: difference from the `smoothed` picture and from a grey level. Subtract it.

    Sum within `width` pixels of the edge of (x - smoothed(x, 5))^2 + 0.8 (x - level)^2, as in lucid.
    """

    width: int = 20
    level: float = 0.5

    def value(self, seen: ObjectiveContext) -> Tensor:
        """Summed over channels and the margin's places."""
        x, w = seen.pictures, self.width
        inside = torch.zeros_like(x[:1, :1])
        inside[:, :, w : -w or None, w : -w or None] = 1
        away = (x - smoothed(x, 5)).square() + 0.8 * (x - self.level).square()
        return (away * (1 - inside)).sum((1, 2, 3))
