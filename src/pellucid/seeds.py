"""Any whole number as a seed: torch, NumPy and scikit-learn each take some of them only."""

from __future__ import annotations

import hashlib

import torch

TORCH = 2**63
"""Seeds of torch are below this."""
SCIKIT = 2**32
"""Those of scikit-learn and umap-learn."""
_FACTOR = 1_000_003


def seed_below(limit: int, seed: int) -> int:
    """The seed itself where it is from 0 to below the limit; else a number in this range, another for each seed."""
    if 0 <= seed < limit:
        return seed
    return int.from_bytes(hashlib.sha256(hex(seed).encode()).digest()) % limit


def seeded(seed: int, *numbers: int) -> torch.Generator:
    """A generator of random numbers on the CPU.

    Args:
        seed: any whole number.
        numbers: of what is drawn for: a picture, a step, so that each has draws of its own.
    """
    for number in numbers:
        seed = seed * _FACTOR + number
    return torch.Generator("cpu").manual_seed(seed_below(TORCH, seed))
