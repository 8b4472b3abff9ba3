"""Kernels and their frequency responses as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pellucid.inspection.filters import FilterBank
from pellucid.pictures.colour import SIGNED, colour_table
from pellucid.pictures.tiles import tiles

MOST = 96
"""Units on one sheet."""
_INPUTS = 12


def kernel_picture(bank: FilterBank, unit: int) -> NDArray[np.uint8]:
    """One unit's kernel, uint8 `[row, column, 3]`.

    On three channels, colours are the weights of red, green and blue with grey for zero; on others, the mean over the
    input channels in blue (negative), black (zero) and red. One scale for all units of the layer, symmetric at zero.
    """
    weights = bank.weights[unit]
    if len(weights) == 3 and bank.on_picture:
        scaled = weights.permute(1, 2, 0) / _limit(bank.weights)
        return np.asarray((127.5 + 127.5 * scaled).round().clamp(0, 255).numpy(), dtype=np.uint8)
    means = bank.weights.mean(1)
    return _signed(means[unit], _limit(means))


def input_pictures(bank: FilterBank, unit: int) -> list[NDArray[np.uint8]]:
    """The strongest input channels' kernels of one unit, one scale for the layer."""
    order = bank.weights[unit].square().sum((1, 2)).argsort(descending=True, stable=True)[:_INPUTS]
    limit = _limit(bank.weights)
    return [_signed(bank.weights[unit, channel], limit) for channel in order.tolist()]


def response_picture(values: Tensor) -> NDArray[np.uint8]:
    """Magnitude of a frequency response, grey, zero frequency in the middle, own scale."""
    scaled = (255 * values / values.amax().clamp_min(1e-30)).round().to(torch.uint8).numpy()
    return np.repeat(scaled[..., None], 3, 2)


def sheet(bank: FilterBank, *, most: int = MOST) -> Image.Image:
    """Kernels of a layer, each above its frequency response; deeper layers show their strongest input kernels too."""
    units = strongest(bank, most)
    return tiles(pairs(bank, units), cell=130, gap=6)


def matrix(bank: FilterBank, *, most: int = 24) -> Image.Image:
    """One row per unit, its strongest input channels beside one another."""
    rows = [input_pictures(bank, unit) for unit in strongest(bank, most)]
    return tiles([picture for row in rows for picture in row], columns=len(rows[0]), cell=36, gap=3)


def strongest(bank: FilterBank, most: int) -> list[int]:
    """Units by the size of their weights."""
    order = sorted(bank.kernels, key=lambda kernel: -kernel.strength)
    return [kernel.unit for kernel in order[:most]]


def pairs(bank: FilterBank, units: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Each unit's kernel above its frequency response."""
    shown = zip(units, bank.responses(units), strict=True)
    return [_pair(_grown(kernel_picture(bank, unit)), _grown(response_picture(values))) for unit, values in shown]


def _pair(grown: NDArray[np.uint8], response: NDArray[np.uint8]) -> NDArray[np.uint8]:
    wide = max(grown.shape[1], response.shape[1])
    page = np.full((grown.shape[0] + 2 + response.shape[0], wide, 3), 255, np.uint8)
    left = (wide - grown.shape[1]) // 2
    page[: grown.shape[0], left : left + grown.shape[1]] = grown
    page[grown.shape[0] + 2 :, : response.shape[1]] = response
    return page


def _grown(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = max(1, 64 // max(picture.shape[:2]))
    return np.repeat(np.repeat(picture, factor, 0), factor, 1)


def _limit(weights: Tensor) -> Tensor:
    return weights.abs().amax().clamp_min(1e-30)


def _signed(values: Tensor, limit: Tensor) -> NDArray[np.uint8]:
    index = (128 + 127 * values / limit).round().to(torch.int64).numpy()
    return np.asarray(colour_table(SIGNED)[index][..., :3])
