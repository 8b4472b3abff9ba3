"""Images to be optimised: numbers, and the pictures `[batch, channel, row, column]` from 0 to 1 that they stand for.

The numbers decide what is easy to change. In a spectrum every frequency is as easy as every other, so pictures become
smooth without being told to; in pixels, the highest frequencies win.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.errors import BadOption
from pellucid.feature_visualisation.colours import correlate, decorrelate
from pellucid.feature_visualisation.spectrum import resized_spectrum
from pellucid.seeds import seeded

_ALMOST = 1e-4  # 0 and 1 lie at infinity behind a sigmoid


class Image(ABC):
    """Pictures and the numbers behind them.

    Attributes:
        parameters: what the optimiser changes; each has the batch first.
    """

    parameters: list[Tensor]

    @abstractmethod
    def pictures(self) -> Tensor:
        """The pictures, 0 to 1, part of the graph of `parameters`."""

    def __len__(self) -> int:
        return len(self.parameters[0])


class Coloured(Image):
    """Pictures whose numbers are independent colours of any size: mixed to RGB and through a sigmoid."""

    @abstractmethod
    def colours(self) -> Tensor:
        """The colours before they are mixed, `[batch, channel, row, column]`."""

    def pictures(self) -> Tensor:
        """The pictures."""
        return torch.sigmoid(correlate(self.colours()))


def noise(shape: Sequence[int], seed: int, numbers: Sequence[int], spread: float) -> Tensor:
    """Normal noise `[batch, *shape]`; that of a picture depends on the seed and its own number only."""
    rows = [torch.randn(*shape, generator=seeded(seed, k)) for k in numbers]
    return torch.stack(rows) * spread


def frequencies(rows: int, columns: int) -> Tensor:
    """Length of the frequency of each coefficient of `rfft2`, cycles per pixel, `[row, column // 2 + 1]`."""
    return torch.hypot(torch.fft.fftfreq(rows)[:, None], torch.fft.rfftfreq(columns)[None])


class Pixels(Coloured):
    """One number per channel and pixel, through a sigmoid.

    Args:
        size: rows and columns.
        channels: of the pictures.
        seed: of the first pictures.
        numbers: of the pictures of this batch.
        spread: standard deviation of the first numbers.
        start: pictures to start from, `[1 or batch, channel, row, column]`, 0 to 1.
    """

    def __init__(
        self, size: tuple[int, int], channels: int = 3, *, seed: int = 0, numbers: Sequence[int] = (0,),
        spread: float = 0.01, start: Tensor | None = None,
    ) -> None:  # fmt: skip
        first = noise((channels, *size), seed, numbers, spread)
        if start is not None:
            first = first + decorrelate(start.clamp(_ALMOST, 1 - _ALMOST).logit())
        self.parameters = [first.requires_grad_()]

    def colours(self) -> Tensor:
        """See `Coloured`."""
        return self.parameters[0]


class Shared(Coloured):
    """Pictures with much in common: the colours of each are its own plus some that all of them have.

    What suits all pictures is drawn once, at the same place in each, so that they can be compared: lucid's aligned
    batches, Mordvintsev et al., "Differentiable image parameterizations", Distill (2018).

    Args:
        own: of each picture.
        common: one picture, of the same size.
    """

    def __init__(self, own: Coloured, common: Coloured) -> None:
        self.own, self.common = own, common
        self.parameters = [*own.parameters, *common.parameters]

    def colours(self) -> Tensor:
        """See `Coloured`."""
        return self.own.colours() + self.common.colours()


class Plain(Image):
    """The network's input itself, from zero on, whatever its range; Simonyan et al., arXiv:1312.6034, section 2.

    Args:
        size: rows and columns.
        mean: of the preprocessing, which is what zero looks like.
        std: of the preprocessing.
        count: number of pictures.
    """

    def __init__(self, size: tuple[int, int], mean: Sequence[float], std: Sequence[float], count: int = 1) -> None:
        self.mean, self.std = (torch.tensor(list(v)).view(1, -1, 1, 1) for v in (mean, std))
        self.parameters = [torch.zeros(count, len(mean), *size, requires_grad=True)]

    def pictures(self) -> Tensor:
        """The pictures, nominally 0 to 1; not cut off there, since the network is not either."""
        return self.parameters[0] * self.std + self.mean


class Fourier(Coloured):
    """A spectrum per channel, scaled by 1 / frequency^decay, through a sigmoid; Olah et al. (lucid), `fft_image`.

    Args: as of `Pixels`, and
        decay: how much harder high frequencies are.
    """

    def __init__(
        self, size: tuple[int, int], channels: int = 3, *, seed: int = 0, numbers: Sequence[int] = (0,),
        spread: float = 0.01, decay: float = 1.0, start: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.size = size
        lengths = frequencies(*size)
        # 4: lucid's constant, which sets how uneven the first picture is for a given spread
        self.scale = (lengths.clamp(min=1 / max(size)) ** -decay) * math.sqrt(size[0] * size[1]) / 4
        first = noise((channels, *lengths.shape, 2), seed, numbers, spread)
        if start is not None:
            wanted = torch.fft.rfft2(decorrelate(start.clamp(_ALMOST, 1 - _ALMOST).logit()))
            first = first + torch.view_as_real(wanted / self.scale)
        self.parameters = [first.requires_grad_()]

    def colours(self) -> Tensor:
        """See `Coloured`."""
        spectrum = torch.view_as_complex(self.parameters[0]) * self.scale
        colours: Tensor = torch.fft.irfft2(spectrum, s=self.size)
        return colours


class Laplacian(Coloured):
    """A sum of pictures of several sizes, each half of the one before, through a sigmoid; arguments as of `Pixels`."""

    LEVELS = 4

    def __init__(
        self, size: tuple[int, int], channels: int = 3, *, seed: int = 0, numbers: Sequence[int] = (0,),
        spread: float = 0.1,
    ) -> None:  # fmt: skip
        self.size = size
        sides = [(max(1, size[0] >> k), max(1, size[1] >> k)) for k in range(self.LEVELS)]
        self.parameters = [
            noise((channels, *side), seed * self.LEVELS + k, numbers, spread).requires_grad_()
            for k, side in enumerate(sides)
        ]

    def colours(self) -> Tensor:
        """See `Coloured`."""
        grown = [F.interpolate(p, self.size, mode="bilinear", align_corners=False) for p in self.parameters]
        return torch.stack(grown).sum(0)


class Pattern(Image):
    """A small network from place to colour, the same for every size: a compositional pattern-producing network.

    Eight layers of 24 hidden numbers with (atan, atan^2) activations, as in lucid; places from -sqrt(3) to sqrt(3).
    Arguments as of `Pixels`.
    """

    LAYERS, HIDDEN = 8, 24

    def __init__(
        self, size: tuple[int, int], channels: int = 3, *, seed: int = 0, numbers: Sequence[int] = (0,)
    ) -> None:
        ends = [torch.linspace(-math.sqrt(3), math.sqrt(3), n) for n in size]
        self.places = torch.stack(torch.meshgrid(*ends, indexing="ij"))
        widths = [2, *[self.HIDDEN] * self.LAYERS]
        self.parameters = []
        for k, (into, out) in enumerate(zip([2, *[2 * w for w in widths[1:-1]]], widths[1:], strict=True)):
            self.parameters.append(noise((out, into), seed * 100 + k, numbers, 1 / math.sqrt(into)).requires_grad_())
        self.parameters.append(torch.zeros(len(numbers), channels, 2 * self.HIDDEN, requires_grad=True))

    def pictures(self) -> Tensor:
        """The pictures."""
        x = self.places[None].expand(len(self), *self.places.shape)
        for weight in self.parameters[:-1]:
            x = torch.einsum("boi,bihw->bohw", weight, x)
            x = torch.cat([torch.atan(x) / 0.67, torch.atan(x).square() / 0.6], 1)
        return torch.sigmoid(torch.einsum("boi,bihw->bohw", self.parameters[-1], x))


class Maco(Coloured):
    """Phases of a spectrum whose magnitude stays that of photographs: Fel et al., MACO, arXiv:2306.06805.

    Args: as of `Pixels`, and
        magnitude: of the spectrum of independent colours, `[channel, row, column // 2 + 1]`; None is 1 / frequency.
    """

    def __init__(
        self, size: tuple[int, int], channels: int = 3, *, seed: int = 0, numbers: Sequence[int] = (0,),
        magnitude: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.size = size
        lengths = frequencies(*size)
        usual = (lengths.clamp(min=1 / max(size)) ** -1.0).expand(channels, *lengths.shape)
        if magnitude is not None and magnitude.shape[0] != channels:
            raise BadOption(f"The spectrum has {magnitude.shape[0]} channels, the pictures have {channels}.")
        self.magnitude = usual if magnitude is None else resized_spectrum(magnitude, size)
        self.parameters = [noise((channels, *lengths.shape), seed, numbers, 1.0).requires_grad_()]

    def colours(self) -> Tensor:
        """See `Coloured`."""
        phase = self.parameters[0]
        phase = (phase - phase.mean((1, 2, 3), keepdim=True)) / (phase.std((1, 2, 3), keepdim=True) + 1e-5)
        colours = torch.fft.irfft2(torch.polar(self.magnitude.expand_as(phase), phase), s=self.size)
        colours = colours - colours.mean((1, 2, 3), keepdim=True)
        even: Tensor = colours / colours.std((1, 2, 3), keepdim=True).clamp(min=1e-5)
        return even


IMAGES: dict[str, Callable[..., Image]] = {
    "fourier": Fourier,
    "laplacian": Laplacian,
    "maco": Maco,
    "pattern": Pattern,
    "pixels": Pixels,
}
