"""What the kernels of convolutions are tuned to: their pictures and their frequency responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from pellucid.capture.tracing import Trace

Name = Literal["point", "low-pass", "edge", "spot", "empty"]

_GRID = 32
"""Cells of the discrete Fourier transform along each axis; kernels are padded with zeros to that."""
_CHUNK = 256
_NOTHING = 1e-3
_ORIENTED = 0.4
"""Kernels whose spectrum is more selective than this count as edge detectors: Sobel's has 0.6, Laplace's 0."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """One output channel of a convolution.

    Attributes:
        unit: its number.
        name: `low-pass` (strongest at frequency zero: it smooths), `edge` (strongest elsewhere, in one orientation),
            `spot` (strongest elsewhere, in all orientations: a centre against its surround), `point` (one cell: it
            only mixes channels), `empty` (nothing there: below a thousandth of the layer's strongest).
        frequency: at which the response is largest, in cycles per cell of the layer's input, 0 to 0.71 (half a cycle
            per cell along both axes).
        orientation: of the edges or stripes it prefers, in degrees counter-clockwise from the horizontal, 0 to 180;
            None without one.
        selectivity: 0 for a response that is the same in all directions, 1 for a single direction.
        strength: square root of the sum of all squared weights.
        colour: share of the response that goes to differences between the input channels, 0 to 1; for kernels on
            three channels, else None.
    """

    unit: int
    name: Name
    frequency: float
    orientation: float | None
    selectivity: float
    strength: float
    colour: float | None


@dataclass(frozen=True, eq=False)
class FilterBank:
    """The kernels of one convolution.

    Attributes:
        path: of the module.
        weights: `[unit, channel, row, column]`, a copy on the CPU.
        on_picture: True if the input is the picture itself.
    """

    path: str
    weights: Tensor
    on_picture: bool = False

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """One per unit; worked out when first asked for."""
        found: list[Kernel] = []
        for start in range(0, len(self.weights), _CHUNK):
            found += _kernels(start, self.weights[start : start + _CHUNK])
        least = _NOTHING * max((kernel.strength for kernel in found), default=0.0)
        return tuple(replace(k, name="empty", orientation=None) if k.strength <= least else k for k in found)

    def responses(self, units: Sequence[int]) -> Tensor:
        """Magnitude of the kernels' Fourier transforms, root of the sum of squares over the input channels.

        Returns:
            `[unit, 32, 32]` for kernels up to 16 cells. Frequency zero lies in the middle; towards the edges it rises
            to half a cycle per cell.
        """
        return _power(self.weights[list(units)]).sqrt()

    @property
    def names(self) -> dict[str, int]:
        """How many kernels go by each name."""
        counts: dict[str, int] = {}
        for kernel in self.kernels:
            counts[kernel.name] = counts.get(kernel.name, 0) + 1
        return counts


def filters_of(found: Trace) -> tuple[FilterBank, ...]:
    """The kernels that every two-dimensional convolution module convolves with, in the order of the pass; each once."""
    banks: dict[str, FilterBank] = {}
    for call in found.calls:
        if isinstance(call.module, nn.Conv2d) and call.path not in banks and not call.module.weight.is_meta:
            own = call.module.weight.detach()
            used = own if call.kernels is None or call.kernels.shape != own.shape else call.kernels
            kept = used.to("cpu", torch.float32, copy=True)
            banks[call.path] = FilterBank(call.path, kept, on_picture=not banks)
    return tuple(banks.values())


def _power(weights: Tensor) -> Tensor:
    """Squared magnitude of the Fourier transform, summed over the input channels: `[unit, 32, 32]`, zero in the middle.

    As the transform of the summed autocorrelations, which are as small as the kernels (Wiener and Khinchin).
    """
    units, channels, rows, columns = weights.shape
    own = weights.reshape(1, units * channels, rows, columns)
    alike = torch.nn.functional.conv2d(own, weights, padding=(rows - 1, columns - 1), groups=units)[0]
    size = (max(_GRID, 2 * rows), max(_GRID, 2 * columns))
    spectrum: Tensor = torch.fft.fftshift(torch.fft.fft2(alike, s=size), dim=(1, 2))
    return spectrum.abs()


def _kernels(first: int, weights: Tensor) -> list[Kernel]:
    strengths = weights.square().sum((1, 2, 3)).sqrt().tolist()
    if weights.shape[2:] == (1, 1):
        return [Kernel(first + k, "point", 0.0, None, 0.0, strength, None) for k, strength in enumerate(strengths)]
    power = _power(weights)
    colours: list[float | None] = [None] * len(weights)
    if weights.shape[1] == 3:
        grey = _power(weights.mean(1, keepdim=True)).sum((1, 2)) * 3
        colours = [*(1 - grey / power.sum((1, 2)).clamp_min(1e-30)).clamp(0, 1).tolist()]
    down, across = (torch.fft.fftshift(torch.fft.fftfreq(n)) for n in power.shape[1:])
    radius = (down[:, None].square() + across.square()).sqrt().flatten()
    frequencies = radius[power.flatten(1).argmax(1)].tolist()
    selectivities, angles = _directions(power, down, across)
    # Near zero the transform of a small kernel cannot tell frequencies apart: half of its own resolution.
    least = 0.5 / max(weights.shape[2:])
    found = []
    for k, (strength, frequency, selectivity) in enumerate(zip(strengths, frequencies, selectivities, strict=True)):
        name: Name = "low-pass" if frequency < least else "edge" if selectivity >= _ORIENTED else "spot"
        angle = angles[k] if name == "edge" else None
        found.append(Kernel(first + k, name, frequency, angle, selectivity, strength, colours[k]))
    return found


def _directions(power: Tensor, down: Tensor, across: Tensor) -> tuple[list[float], list[float]]:
    """How much each response prefers one direction, and the orientation of the edges it prefers, in degrees.

    From the second moments of the power spectrum: the longer axis of the ellipse points across the edges.
    """
    rows, columns = down[:, None], across[None, :]
    inside = (rows.abs() < 0.5) & (columns.abs() < 0.5)  # the outermost line stands for both signs at once
    weight = (power * inside).double()
    rr, cc, rc = ((weight * p).sum((1, 2)) for p in (rows.square(), columns.square(), rows * columns))
    selectivity = torch.hypot(cc - rr, 2 * rc) / (cc + rr).clamp_min(1e-30)
    # Rows count downwards, so the angle from the horizontal is counted with -rc; edges lie across the frequency.
    angle = (torch.rad2deg(0.5 * torch.atan2(-2 * rc, cc - rr)) + 90) % 180
    return selectivity.tolist(), [*angle.tolist()]
