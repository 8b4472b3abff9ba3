"""How much a network's own mask can be trusted: beside Grad-CAM, and beside chance, on held-out pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.api import explain
from pellucid.errors import BadOption
from pellucid.training.loop import predict
from pellucid.types import Model
from pellucid.zoo.self_explaining import SelfExplaining

SHARES = tuple(k / 10 for k in range(11))
"""Shares of the pixels that are hidden or shown."""
MOST = 100
"""Held-out pictures that are enough to judge by."""
_DRAWS = 1000


@dataclass(frozen=True)
class Faithfulness:
    """How the probability of the first answer goes with a map's pixels; means over pictures, 0 to 1.

    Attributes:
        deletion: area under its curve while the map's largest pixels are hidden with the mean; smaller is better.
        insertion: while they are shown on the mean; larger is better.
        deletion_interval, insertion_interval: 95 % bootstrap over pictures.
        deleted, inserted: the curves, one value for each of `SHARES`.
    """

    deletion: float
    insertion: float
    deletion_interval: tuple[float, float]
    insertion_interval: tuple[float, float]
    deleted: tuple[float, ...]
    inserted: tuple[float, ...]

    def of(self, which: str) -> str:
        """Area and interval, as people read them; `deletion` or `insertion`."""
        low, high = getattr(self, f"{which}_interval")
        return f"{getattr(self, which):.2f} ({low:.2f} to {high:.2f})"


@dataclass(frozen=True, eq=False)
class Comparison:
    """The network's own mask, Grad-CAM and a random map, judged alike.

    Attributes:
        pictures: as the network sees them, `[picture, channel, row, column]`.
        scores: by the map's name.
        maps: by the same names, `[picture, row, column]`.
    """

    pictures: Tensor
    scores: Mapping[str, Faithfulness]
    maps: Mapping[str, Tensor]


def own_masks(model: Model, pictures: Tensor) -> Tensor:
    """The masks that a self-explaining network draws, `[picture, row, column]`.

    Raises:
        BadOption: it is no self-explaining network.
    """
    if not isinstance(model.module, SelfExplaining):
        raise BadOption(f"{model.name} is no self-explaining network, so it draws no mask of its own.")
    with torch.no_grad():
        return torch.cat([model.module.mask(rows) for rows in torch.split(pictures, 256)])


def compare_masks(model: Model, pictures: Tensor, seed: int = 0) -> Comparison:
    """Judge the network's own mask beside Grad-CAM and a random map.

    Args:
        model: self-explaining.
        pictures: as it sees them; their mean is 0, so hiding sets pixels to 0.
        seed: of the random map and the intervals.
    """
    generator = torch.Generator().manual_seed(seed)
    maps = {
        "own mask": own_masks(model, pictures),
        "Grad-CAM": explain(model, pictures, "grad-cam")["grad-cam"].values.float(),
        "random": torch.rand(pictures.shape[0], *pictures.shape[2:], generator=generator),
    }
    scores = {name: faithfulness(model, pictures, values, seed) for name, values in maps.items()}
    return Comparison(pictures, scores, maps)


def faithfulness(model: Model, pictures: Tensor, maps: Tensor, seed: int = 0) -> Faithfulness:
    """Deletion and insertion curves of maps `[picture, row, column]`; pixels that tie are taken in reading order."""
    first = predict(model.module, pictures).argmax(1)
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1).view_as(maps) / maps[0].numel()

    def curve(*, shown: bool) -> Tensor:
        rows = []
        for share in SHARES:
            top = rank < share
            seen = pictures * (top if shown else ~top)[:, None]
            rows.append(predict(model.module, seen).softmax(1).gather(1, first[:, None])[:, 0])
        return torch.stack(rows, 1)

    deleted, inserted = curve(shown=False), curve(shown=True)
    areas = [torch.trapezoid(each, dx=1 / (len(SHARES) - 1), dim=1) for each in (deleted, inserted)]
    of_deletion, of_insertion = (_interval(area, seed) for area in areas)
    return Faithfulness(
        float(areas[0].mean()),
        float(areas[1].mean()),
        of_deletion,
        of_insertion,
        tuple(deleted.mean(0).tolist()),
        tuple(inserted.mean(0).tolist()),
    )


def _interval(values: Tensor, seed: int) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(values), (_DRAWS, len(values)), generator=generator)
    low, high = values[drawn].mean(1).quantile(torch.tensor([0.025, 0.975])).tolist()
    return low, high
