"""Numbers as text for scripts on pages: maps of any axes, and the colours that they are drawn in."""

from __future__ import annotations

import math
from base64 import b64encode

import numpy as np
from numpy.typing import NDArray

from pellucid.pictures.colour import ONE_SIDED, SIGNED, colour_table


def halves(values: NDArray[np.float64]) -> tuple[str, float]:
    """Values as float16 in units of a power of two, so that their size never leaves the range of float16.

    Returns:
        The numbers (base64, little endian, the last axis fastest), and the unit: times which they are the values.
    """
    finite = np.abs(values[np.isfinite(values)])
    exponent = math.frexp(float(finite.max(initial=0.0)))[1]
    exponent = min(max(exponent, -1000), 1000)
    with np.errstate(over="ignore"):
        data = np.ldexp(values, -exponent).astype("<f2")
    return b64encode(data.tobytes()).decode(), 2.0**exponent


def tables() -> dict[str, str]:
    """The colours of one-sided and signed maps: 256 times red, green, blue, base64."""
    found = {"oneSided": ONE_SIDED, "signed": SIGNED}
    return {name: b64encode(colour_table(colours)[:, :3].tobytes()).decode() for name, colours in found.items()}
