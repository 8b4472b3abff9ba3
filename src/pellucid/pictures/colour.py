"""Display scales and colour maps. They serve the eye only: evidence itself is never rescaled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.errors import BadOption, unknown

ONE_SIDED = "bids:inferno"
"""Black, violet, orange, pale yellow: perceptually uniform, zero is black."""
SIGNED = "colorcet:bkr"
"""Blue for evidence against, nearly black for none, red for evidence in favour: perceptually uniform, zero is
neutral."""

_BRIGHTEN = 4.0
"""How far below the peak the end of a scale may lie: a few hot pixels must not lift the noise to full colour."""


@dataclass(frozen=True)
class ColourScale:
    """What the ends of the colours mean, in units of the evidence.

    Attributes:
        low, high: values at the two ends; `low` is 0, or `-high` for signed maps. Both are 0 for a map without any
            evidence.
        signed: True if colours run both ways from zero.
        percentile: the percentile of the sizes that `high` was taken from, 0 to 100.
        clipped: fraction of the values beyond the ends, drawn like the ends.
        invalid: how many values are NaN or infinite; they are drawn green.
    """

    low: float
    high: float
    signed: bool
    percentile: float
    clipped: float = 0.0
    invalid: int = 0

    @property
    def blank(self) -> bool:
        """Whether there is nothing to draw."""
        return self.high == 0

    @property
    def note(self) -> str:
        """What the reader of the map must be told, or ""."""
        said = [f"{self.invalid} values are not finite (green)"] if self.invalid else []
        if self.blank:
            said.append("no evidence" if self.signed else "no positive evidence")
        return "; ".join(said)

    def place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Position of each value between zero and the end of the scale: -1 to 1, or 0 to 1 when not signed."""
        if self.blank:
            return np.zeros_like(values)
        low = -self.high if self.signed else 0.0
        return np.asarray(np.clip(values, low, self.high) / self.high)


def scale(values: Tensor, *, percentile: float = 99.5, signed: bool | None = None) -> ColourScale:
    """Choose the display scale of a map, or one scale for several maps that shall be comparable.

    One-sided maps run from 0, signed ones are symmetric around 0, so that colour always tells the sign and no
    evidence always looks like none. The end is a percentile of the sizes, but at least a quarter of the largest.
    NaN and infinite values are left out and counted.

    Args:
        values: evidence of any shape, usually `[row, column]`.
        percentile: 100 shows the whole range.
        signed: None: signed if there are negative values beyond rounding (a millionth of the largest).

    Raises:
        BadOption: the percentile is not between 0 and 100.
    """
    if not 0 <= percentile <= 100:
        raise BadOption(f"Expected a percentile between 0 and 100, got {percentile}. 99.5 is the default.")
    numbers = as_array(values)
    finite = numbers[np.isfinite(numbers)]
    if signed is None:
        signed = bool(finite.min(initial=0.0) < -1e-6 * np.abs(finite).max(initial=0.0))
    sizes = np.abs(finite) if signed else np.maximum(finite, 0.0)
    peak = float(sizes.max(initial=0.0))
    high = max(float(np.percentile(sizes, percentile, method="higher")), peak / _BRIGHTEN) if peak else 0.0
    clipped = float((sizes > high).mean()) if peak else 0.0
    return ColourScale(-high if signed else 0.0, high, signed, percentile, clipped, numbers.size - finite.size)


@lru_cache(maxsize=16)
def colour_table(name: str) -> NDArray[np.uint8]:
    """The 256 colours of a map of the `cmap` library, uint8 `[256, 4]`, red, green, blue, alpha. Read-only.

    Raises:
        UnknownName: there is no such colour map; the message offers near names.
    """
    from cmap import Catalog, Colormap

    try:
        table = (np.asarray(Colormap(name).lut(256)) * 255).round().astype(np.uint8)
    except ValueError as error:
        known = sorted({*Catalog().short_keys(), *Catalog().namespaced_keys()})
        raise unknown("colour map", name, known, "Names are those of the cmap library, such as 'magma'.") from error
    table.setflags(write=False)
    return table


def colour_map_for(scale: ColourScale, name: str | None = None) -> NDArray[np.uint8]:
    """The chosen colours, or those that suit a signed or one-sided scale."""
    return colour_table(name or (SIGNED if scale.signed else ONE_SIDED))


def as_array(values: Tensor) -> NDArray[np.float64]:
    """The numbers of a tensor on any device, of any type, as float64."""
    plain = values.detach().cpu()
    return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy().astype(np.float64)
