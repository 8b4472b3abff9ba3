"""A class at a place, before it is known whether the model scores pixels or detects objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pellucid.contracts import Frame, Model, Scores
from pellucid.errors import BadOption, BadOutput
from pellucid.targets.base import Interpretation, Target, TargetContext
from pellucid.targets.detections import Detections
from pellucid.targets.regions import PixelClasses


@dataclass(frozen=True, eq=False)
class ClassAt:
    """What `CLASS@PLACE` stands for.

    Attributes:
        region: what it means where every pixel has a score.
        detection: what it means where objects have; None if it means nothing there.
    """

    region: Target
    detection: Target | None

    def fit(self, scene: TargetContext) -> Target:
        return ClassAt(self.region.fit(scene), self.detection and self.detection.fit(scene))

    def resolve(self, reading: Interpretation, model: Model) -> Target:
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
