"""Long signals in few columns of pixels, and ticks of an axis."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pellucid.contracts import Sample


def time_of(sample: Sample) -> tuple[float, str]:
    """How long a signal is, and in which unit: seconds, or samples where the rate is not known."""
    rate = sample.geometry.get("rate")
    length = sample.tensor.shape[-1]
    return (length / rate, "s") if rate else (float(length), "samples")


def strongest(values: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """For each of so many columns the value of largest size among those that it covers, `[columns]`.

    Value k covers the part from k to k + 1 of the length.
    """
    length = len(values)
    if columns <= length:
        first = _starts(length, columns)
        high, low = np.maximum.reduceat(values, first), np.minimum.reduceat(values, first)
        return np.where(high >= -low, high, low)
    return np.asarray(values[np.minimum((np.arange(columns) + 0.5) * length // columns, length - 1).astype(int)])


def envelope(
    line: NDArray[np.float64], columns: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Places (0 to 1 of the length), lowest and highest values of a line in at most so many columns."""
    length = len(line)
    if length <= columns:
        return (np.arange(length) + 0.5) / length, line, line
    first = _starts(length, columns)
    return (np.arange(columns) + 0.5) / columns, np.minimum.reduceat(line, first), np.maximum.reduceat(line, first)


def _starts(length: int, columns: int) -> NDArray[np.int64]:
    """Where each of so many parts of a length begins; there are no more of them than the length has values."""
    return np.arange(columns, dtype=np.int64) * length // columns


def ticks(low: float, high: float, about: int = 8) -> list[tuple[float, str]]:
    """Round numbers between two others, about so many, with their texts."""
    rough = (high - low) / about
    step = 10.0 ** math.floor(math.log10(rough))
    step *= next(factor for factor in (1, 2, 5, 10) if factor * step >= rough)
    places = max(0, -math.floor(math.log10(step)))
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(number * step, f"{number * step:.{places}f}") for number in numbers]
