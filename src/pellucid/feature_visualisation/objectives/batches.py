"""Objectives that compare the pictures of a batch with each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.feature_visualisation.objectives.catalogue import entry
from pellucid.feature_visualisation.objectives.context import ObjectiveContext
from pellucid.feature_visualisation.objectives.layer import OfLayer


@entry("alignment")
@dataclass(frozen=True)
class Alignment(OfLayer):
    """How unlike neighbouring pictures of the batch are at a layer; subtract it to make an interpolation smooth.

    Squared distances of pictures 1 to 4 apart, each half as heavy as the one before it.
    """

    together = True
    layer: str
    decay: float = 2.0

    def value(self, seen: ObjectiveContext) -> Tensor:
        """For each picture, towards the later ones."""
        value = self.seen(seen).flatten(1)
        total = torch.zeros(len(value), dtype=value.dtype, device=value.device)
        for apart in range(1, min(5, len(value))):
            away = (value[:-apart] - value[apart:]).square().mean(1)
            total = total + F.pad(away, (0, apart)) / self.decay**apart
        return total


@entry("diversity")
@dataclass(frozen=True)
class Diversity(OfLayer):
    """How alike the batch's pictures are in texture: mean cosine of their Gram matrices at a layer. Subtract it."""

    together = True
    layer: str

    def value(self, seen: ObjectiveContext) -> Tensor:
        """For each picture, against all others; -1 to 1."""
        maps = self.maps(seen).flatten(2)
        grams = F.normalize(torch.einsum("bcn,bdn->bcd", maps, maps).flatten(1), dim=1, eps=1e-10)
        alike = torch.einsum("bn,dn->bd", grams, grams)
        others = alike.sum(1) - alike.diagonal()
        return others / max(1, len(maps) - 1)
