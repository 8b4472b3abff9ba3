"""Pictures with alpha: opacity is one more channel, behind the colours, and the network sees what lies below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.feature_visualisation.images import Fourier, Image
from pellucid.feature_visualisation.transforms import Transform

_GREY = 0.5
_SPREAD = 0.5  # of the spectrum of what lies below: colours from end to end, as lucid has them


class Transparent(Image):
    """Pictures with an opacity of their own, `[batch, channel + 1, row, column]`, each 0 to 1.

    Args:
        own: the colours.
        opacity: pictures of one channel.
    """

    def __init__(self, own: Image, opacity: Image) -> None:
        self.own, self.opacity = own, opacity
        self.parameters = [*own.parameters, *opacity.parameters]

    def pictures(self) -> Tensor:
        """Colours, and opacity behind them."""
        return torch.cat([self.own.pictures(), self.opacity.pictures()], 1)


@dataclass(frozen=True)
class LaidOver:
    """Pictures are laid over something else in each step, and then moved together with it.

    What lies below is noise with the spectrum of photographs, so what is transparent can show the network nothing that
    it could count on: `collapse_alpha_random` of lucid; Mordvintsev et al., "Differentiable image parameterizations",
    Distill (2018), section on transparency.

    Attributes:
        transform: what moves them.
    """

    transform: Transform

    def apply(self, pictures: Tensor, step: int, steps: int, seed: int, numbers: Sequence[int]) -> Tensor:
        """See `Transform.apply`; what lies below depends on the seed, the step and each picture's own number only."""
        channels, size = pictures.shape[1] - 1, (pictures.shape[2], pictures.shape[3])
        below = Fourier(size, channels, seed=seed * 100_003 + step + 1, numbers=numbers, spread=_SPREAD)
        with torch.no_grad():
            noise = below.pictures().to(pictures)
        return self.transform.apply(laid_over(noise, pictures), step, steps, seed, numbers)


def laid_over(below: Tensor | float, pictures: Tensor) -> Tensor:
    """What is seen of pictures with opacity as the last channel, over something else: `[batch, channel, ...]`."""
    colours, opacity = pictures[:, :-1], pictures[:, -1:]
    return opacity * colours + (1 - opacity) * below


def over_grey(pictures: Tensor, channels: int) -> tuple[Tensor, Tensor | None]:
    """Pictures as they are judged: over plain grey where there is an opacity behind the channels, and that opacity."""
    if pictures.shape[1] == channels:
        return pictures, None
    return laid_over(_GREY, pictures), pictures[:, -1]
