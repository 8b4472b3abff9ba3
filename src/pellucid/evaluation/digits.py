"""As many digits as a number needs: those that tell it from its neighbours, and none that say nothing."""

from __future__ import annotations

import math

_MOST = 6
"""Decimals beyond which a number is written with a power of ten."""


def decimals(size: float, digits: int) -> int:
    """How many decimals show so many significant digits of a number of that size; `digits` for 0 and what is no number.

    Args:
        size: the number, or how far numbers lie apart.
        digits: how many of its significant digits are to be seen.
    """
    if not size or not math.isfinite(size):
        return digits
    return max(0, digits - 1 - math.floor(math.log10(abs(size))))


def number(value: float, places: int) -> str:
    """A number with so many decimals, never a negative zero; very small ones with a power of ten."""
    if places > _MOST and value and abs(value) < 10.0**-2:
        return f"{value:.{max(0, places + math.floor(math.log10(abs(value))))}e}"
    written = f"{value:.{places}f}"
    return written.removeprefix("-") if not float(written) else written
