"""Moving within a distance: steps, projections, lengths and random starts in the norms of attacks."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.seeds import seeded

NORMS = ("linf", "l2")


def along(slope: Tensor, size: Tensor, norm: str) -> Tensor:
    """A step of this length for each picture, as steep as the norm allows."""
    if norm == "linf":
        return slope.sign() * size.view(-1, 1, 1, 1)
    largest = slope.flatten(1).abs().amax(1).view(-1, 1, 1, 1)
    slope = slope / torch.where(largest > 0, largest, 1.0)  # squares of small slopes would be rounded to 0
    return slope * (size / length(slope, norm).clamp(min=1e-30)).view(-1, 1, 1, 1)


def project(moved: Tensor, start: Tensor, far: Tensor, norm: str, *, clip: bool) -> Tensor:
    """Back to within the distance, and to what a picture can hold."""
    away = moved - start
    if norm == "linf":
        reach = far.view(-1, 1, 1, 1)
        away = away.clamp(-reach, reach)
    else:
        away = away * (far / length(away, norm).clamp(min=1e-30)).clamp(max=1).view(-1, 1, 1, 1)
    return (start + away).clamp(0, 1) if clip else start + away


def length(away: Tensor, norm: str) -> Tensor:
    """Length of each picture's change, `[picture]`."""
    flat = away.flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)


def random_start(pictures: Tensor, far: Tensor, norm: str, seed: int) -> Tensor:
    """One start for all pictures, so that none depends on what is beside it."""
    generator = seeded(seed)
    drawn = torch.rand(pictures.shape[1:], generator=generator).to(pictures) * 2 - 1
    reach = far * torch.rand((), generator=generator)
    drawn = drawn.expand_as(pictures)
    return drawn * far.view(-1, 1, 1, 1) if norm == "linf" else along(drawn, reach, norm)
