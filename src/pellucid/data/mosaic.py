"""Mosaics of 2 x 2 pictures, two of a class and two of others: which squares a map should keep to is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.contracts import Maps
from pellucid.errors import BadOption
from pellucid.seeds import seeded


@dataclass(frozen=True, eq=False)
class Mosaics:
    """Pictures of 2 x 2 pictures, one for each that was given.

    Attributes:
        pictures: `[batch, channel, 2 * row, 2 * column]`.
        targets: number of the class that two squares of each show.
        masks: these squares, bool `[batch, 2 * row, 2 * column]`; for `pellucid.evaluate(..., "focus", masks=...)`.
        parts: which of the given pictures lie in each, `[batch, 4]`: upper left, upper right, lower left, lower right.
    """

    pictures: Maps
    targets: tuple[int, ...]
    masks: Tensor
    parts: Tensor


def mosaics(pictures: Maps, labels: Sequence[int] | Tensor, seed: int = 0) -> Mosaics:
    """Mosaic k shows picture k, another of its class and two of other classes, in random order (arXiv:2109.15035).

    Args:
        pictures: the model's input `[batch, channel, row, column]`.
        labels: number of each picture's class.
        seed: integer of any size that starts the draws of the choice and the order.

    Raises:
        BadOption: labels that do not fit, a class with a single picture, or fewer than two pictures of other classes.
    """
    if not isinstance(pictures, Tensor) or pictures.ndim != 4:
        raise BadOption("Expected pictures as a tensor [batch, channel, row, column] for mosaics.")
    classes = torch.as_tensor(labels)
    if classes.shape != (len(pictures),) or classes.is_floating_point():
        raise BadOption(f"Expected the number of a class for each of {len(pictures)} pictures as labels of mosaics.")
    parts = torch.stack([_parts(classes.cpu(), k, seed) for k in range(len(pictures))])
    upper, lower = (torch.cat([pictures[parts[:, k]], pictures[parts[:, k + 1]]], 3) for k in (0, 2))
    same = classes.cpu()[parts] == classes.cpu()[:, None]
    squares = same.reshape(-1, 2, 2).repeat_interleave(pictures.shape[2], 1).repeat_interleave(pictures.shape[3], 2)
    return Mosaics(torch.cat([upper, lower], 2), tuple(classes.tolist()), squares.to(pictures.device), parts)


def _parts(classes: Tensor, number: int, seed: int) -> Tensor:
    """Which pictures lie in mosaic `number`, `[4]`."""
    draws = seeded(seed, number)
    alike = classes == classes[number]
    alike[number] = False
    others = classes != classes[number]
    if not bool(alike.any()) or int(others.sum()) < 2:
        raise BadOption(
            f"A mosaic takes two pictures of a class and two of other classes; of class {int(classes[number])} there "
            f"are {int(alike.sum()) + 1}, of others {int(others.sum())}."
        )
    second = _drawn(alike, 1, draws)
    chosen = torch.cat([torch.tensor([number]), second, _drawn(others, 2, draws)])
    return chosen[torch.randperm(4, generator=draws)]


def _drawn(among: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """`count` places where `among` is true."""
    places = among.nonzero()[:, 0]
    return places[torch.randperm(len(places), generator=draws)[:count]]
