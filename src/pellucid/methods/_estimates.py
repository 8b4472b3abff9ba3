"""What the methods that estimate from random samples say about their error."""

from __future__ import annotations

from torch import Tensor


def precision(error: Tensor, values: Tensor, of: str) -> str:
    """A note on the largest standard error of any `of` (a region, a cell, a pixel) next to the largest value."""
    largest = float(values.abs().max())
    return f"The standard error of a {of} is at most {float(error.max()):.2g}; the largest value is {largest:.2g}."
