"""Gaussian blur with a width of its own for every picture."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.contracts import Maps
from pellucid.errors import BadOption
from pellucid.numerics.tensors import along_axes

_FURTHEST = 1_000_000
"""Pixels that a kernel reaches: no picture is as wide, and what is left of one is its mean."""


def gaussian_blur(maps: Maps, sigma: Tensor, truncate: float = 4.0) -> Maps:
    """Blur `[n, channel, *axes]` by `sigma` `[n]` places, each row by its own; 0 leaves it as it is.

    The kernel reaches `truncate` times sigma and the world outside of a map is 0, as in
    `scipy.ndimage.gaussian_filter` with `mode="constant"`. A convolution with a different kernel for each row
    is one product with a banded matrix along each axis.
    """
    return along_axes(maps, [_kernel(length, sigma.to(maps.dtype), truncate)[:, None] for length in maps.shape[2:]])


def _kernel(length: int, sigma: Tensor, truncate: float) -> Tensor:
    """The blur along one axis as symmetric matrices `[n, length, length]`."""
    place = torch.arange(length, device=sigma.device, dtype=sigma.dtype)
    reach = torch.floor(truncate * sigma + 0.5)[:, None, None]
    weights = _bell((place[:, None] - place).abs()[None], sigma[:, None, None], reach)
    furthest = int(reach.max())
    if furthest > _FURTHEST:
        raise BadOption(
            f"Expected a blur of at most {_FURTHEST / truncate:,.0f} pixels, got {float(sigma.max()):,.6g}."
        )
    steps = torch.arange(1, furthest + 1, device=sigma.device, dtype=sigma.dtype)[None, None]
    return weights / (1 + 2 * _bell(steps, sigma[:, None, None], reach).sum(2, keepdim=True))


def _bell(distance: Tensor, sigma: Tensor, reach: Tensor) -> Tensor:
    narrow = torch.finfo(sigma.dtype).tiny ** 0.25
    return torch.exp(-0.5 * (distance / sigma.clamp(min=narrow)) ** 2) * (distance <= reach)
