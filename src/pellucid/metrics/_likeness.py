"""How alike two maps are, in the four ways of Adebayo et al.'s sanity checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.contracts import Map
from pellucid.errors import BadOption
from pellucid.metrics._agreement import pearson, spearman
from pellucid.numerics import safe_divide

_CELL = 16
"""Pixels of a cell of the histogram of gradients, on pictures large enough for it."""
_WINDOW = 5
"""Places along each axis over which SSIM compares; three at least, or there is no answer."""


def _size(maps: Map) -> Map:
    """Absolute values, the largest of each map as 1."""
    found = maps.double().abs()
    return safe_divide(found, found.amax(tuple(range(1, found.ndim)), keepdim=True).expand_as(found))


def _rank(first: Map, second: Map) -> Tensor:
    return spearman(first.abs().flatten(1), second.abs().flatten(1))


def _signed_rank(first: Map, second: Map) -> Tensor:
    return spearman(first.flatten(1), second.flatten(1))


def _ssim(first: Map, second: Map) -> Tensor:
    from skimage.metrics import structural_similarity

    window = min(_WINDOW, (min(first.shape[1:]) - 1) // 2 * 2 + 1)
    if window < 3:
        return torch.full((len(first),), torch.nan, dtype=torch.float64, device=first.device)

    def alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        found: Any = structural_similarity(a, b, win_size=window, data_range=1.0)  # type: ignore[no-untyped-call]
        return float(found)

    return _each(alike, first, second)


def _hog(first: Map, second: Map) -> Tensor:
    from skimage.feature import hog

    cell = max(1, min(_CELL, min(first.shape[1:]) // 4))

    def alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        features = [torch.from_numpy(hog(m, pixels_per_cell=(cell, cell), cells_per_block=(3, 3))) for m in (a, b)]
        return float(pearson(*features))

    return _each(alike, first, second)


def _each(alike: Callable[[NDArray[np.float64], NDArray[np.float64]], float], first: Map, second: Map) -> Tensor:
    pairs = zip(_size(first).cpu().numpy(), _size(second).cpu().numpy(), strict=True)
    return torch.tensor([alike(a, b) for a, b in pairs], dtype=torch.float64, device=first.device)


MEASURES: Mapping[str, Callable[[Map, Map], Tensor]] = MappingProxyType(
    {"rank": _rank, "signed-rank": _signed_rank, "ssim": _ssim, "hog": _hog}
)
"""Rank correlation without and with sign, structural similarity and the correlation of histograms of oriented
gradients, the last two of absolute values."""


def measures_of(values: Map) -> tuple[str, ...]:
    """Names of the measures that are defined for such maps: `hog` is for pictures alone."""
    return tuple(name for name in MEASURES if name != "hog" or values.ndim == 3)


def likeness(measure: str, first: Map, second: Map) -> Tensor:
    """How alike maps are, `[n]`, at most 1; 0 where the second is the same everywhere, NaN where the first is.

    Args:
        measure: a name of `MEASURES`.
        first: maps `[n, *axes]`.
        second: maps that they are compared with.
    """
    found = MEASURES[measure](first, second)
    flat = [(maps.flatten(1).amax(1) == maps.flatten(1).amin(1)) for maps in (first, second)]
    return found.masked_fill(flat[1], 0.0).masked_fill(flat[0], torch.nan)


def check_measure(metric: str, measure: str, values: Map) -> None:
    """Refuse with `BadOption` a measure that does not exist, or is not defined for such maps."""
    known = measures_of(values)
    if measure not in known:
        why = " hog is defined for two axes." if measure in MEASURES else ""
        raise BadOption(f"Expected {', '.join(known)} as measure of {metric}, got {measure!r}.{why}")
