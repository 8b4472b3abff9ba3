"""A class at a place, before it is known whether the model scores pixels or detects objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pellucid.errors import BadOption, BadOutput
from pellucid.targets.base import Reading, Scene, Target
from pellucid.targets.detections import Detection, Detections
from pellucid.targets.regions import PixelClasses, Region
from pellucid.types import Frame, Model, Scores


@dataclass(frozen=True, eq=False)
class Somewhere:
    """What `CLASS@PLACE` stands for: a `Region` where every pixel has a score, a `Detection` where objects do."""

    region: Region
    detection: Detection | None

    def fit(self, scene: Scene) -> Target:
        detection = self.detection and self.detection.fit(scene)
        return Somewhere(self.region.fit(scene), detection)  # type: ignore[arg-type]

    def resolve(self, reading: Reading, model: Model) -> Target:
        if isinstance(reading, PixelClasses):
            return self.region.resolve(reading, model)
        if not isinstance(reading, Detections):
            raise BadOutput(f"{model.name} scores the picture as a whole, so its target has no place in it.")
        if self.detection is None:
            raise BadOption(f"{model.name} detects objects: a place for it is a box, left,top,right,bottom.")
        return self.detection.resolve(reading, model)

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        raise BadOption("A place has no score before it is known what the model gives there: call resolve first.")

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        return self.region.labels(model, frames)
