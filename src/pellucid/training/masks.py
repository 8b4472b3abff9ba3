"""How much a network's own mask can be trusted: beside Grad-CAM and the controls, on held-out pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.api import explain
from pellucid.contracts import Model
from pellucid.errors import BadOption
from pellucid.evaluation import CONTROLS, Score, column_of, evaluate
from pellucid.zoo.self_explaining import SelfExplaining

MOST = 100
"""Held-out pictures that are enough to judge by."""
_METRICS = ("deletion", "insertion")
_STEPS = 10
"""Steps of the curves: the pictures are small."""


@dataclass(frozen=True, eq=False)
class MaskComparison:
    """The network's own mask, Grad-CAM and the controls, judged alike.

    Attributes:
        pictures: as the network sees them, `[picture, channel, row, column]`.
        scores: by the map's name, then by metric, `deletion` and `insertion`.
        maps: those that are not controls, by the same names, `[picture, row, column]`.
    """

    pictures: Tensor
    scores: Mapping[str, Mapping[str, Score]]
    maps: Mapping[str, Tensor]

    def written(self, name: str) -> tuple[str, ...]:
        """A map's scores as people read them, deletion first, with digits that tell the maps apart."""
        columns = {metric: column_of(each[metric] for each in self.scores.values()) for metric in _METRICS}
        return tuple(column.text(self.scores[name][metric]) for metric, column in columns.items())


def own_masks(model: Model, pictures: Tensor) -> Tensor:
    """The masks that a self-explaining network draws, `[picture, row, column]`.

    Raises:
        BadOption: it is no self-explaining network.
    """
    if not isinstance(model.module, SelfExplaining):
        raise BadOption(f"{model.name} is no self-explaining network, so it draws no mask of its own.")
    with torch.no_grad():
        return torch.cat([model.module.mask(rows) for rows in torch.split(pictures, 256)])


def compare_masks(model: Model, pictures: Tensor, seed: int = 0) -> MaskComparison:
    """Judge the network's own mask beside Grad-CAM and the controls.

    Args:
        model: self-explaining.
        pictures: as it sees them; their mean is 0, so hiding sets pixels to 0.
        seed: of the random control and the intervals.
    """
    own = own_masks(model, pictures)
    explained = explain(model, pictures, "grad-cam")
    options: dict[str, dict[str, Any]] = {
        "deletion": {"steps": _STEPS},
        "insertion": {"steps": _STEPS, "baseline": 0.0},
    }
    judged = evaluate(explained, list(options), options, seed, maps={"own mask": own})
    cam = {name: judged["grad-cam", name] for name in options}
    scores = {
        "own mask": {name: judged["own mask", name] for name in options},
        "Grad-CAM": cam,
        **{control: {name: cam[name].controls[control] for name in options} for control in CONTROLS},
    }
    return MaskComparison(pictures, scores, {"own mask": own, "Grad-CAM": explained["grad-cam"].values.float()})
