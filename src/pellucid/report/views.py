"""One picture of an explanation with everything that was found out about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pellucid.contracts import Attribution, InputMap, Picture, Prediction, Sample
from pellucid.evaluation import Trust, trust_of
from pellucid.explanation import Explanation
from pellucid.report.names import keys, picture_slug, unique


@dataclass(frozen=True, eq=False)
class MapView:
    """One attribution's share of one picture.

    Attributes:
        key: name of its files; unique within the picture.
        attribution: of the whole batch.
        index: of the picture in the batch.
        trust: what its scores say; None where it was not judged.
    """

    key: str
    attribution: Attribution
    index: int
    trust: Trust | None = None

    @property
    def values(self) -> Tensor:
        """The signed map `[*axes]`, of a picture `[row, column]`."""
        return self.attribution.values[self.index]

    @property
    def target(self) -> str:
        """What was explained; untrusted text."""
        return self.attribution.target[self.index]

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The map as float64, which holds values of every type."""
        return as_numpy(self.values).astype(np.float64)

    @cached_property
    def range(self) -> tuple[float, float]:
        """Lowest and highest finite value; NaN when there is none."""
        finite = self.numbers[np.isfinite(self.numbers)]
        return (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)

    @property
    def inputs(self) -> Mapping[str, InputMap]:
        """The maps of all explained inputs, where there are several."""
        return self.attribution.inputs if len(self.attribution.inputs) > 1 else {}

    @property
    def extras(self) -> dict[str, Tensor]:
        """The method's further findings about this picture."""
        return {name: value[self.index] for name, value in self.attribution.extras.items()}


@dataclass(frozen=True, eq=False)
class PictureView:
    """One picture, or one sample of a tensor, which has no picture.

    Attributes:
        explanation: that it is part of.
        index: its place in the batch.
        name: for people; untrusted text.
        folder: the same as a folder name, unique within the explanation.
    """

    explanation: Explanation
    index: int
    name: str
    folder: str

    @property
    def picture(self) -> Picture | None:
        """None when tensors or other kinds of input were explained."""
        return self.explanation.pictures[self.index] if self.explanation.pictures else None

    @property
    def sample(self) -> Sample | None:
        """The signal, row of a table, ... that was explained; None of pictures and tensors."""
        return self.explanation.samples[self.index] if self.explanation.samples else None

    @property
    def input(self) -> Picture | Sample | None:
        """What was explained; None of tensors."""
        return self.picture or self.sample

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """The top classes, best first; empty when the model gives no class scores."""
        return self.explanation.predictions[self.index] if self.explanation.predictions else ()

    @cached_property
    def findings(self) -> tuple[MapView, ...]:
        """In the order of the explanation."""
        names = keys(self.explanation, self.index)
        judged = self.explanation.evaluation
        return tuple(
            MapView(key, attribution, self.index, None if judged is None else trust_of(attribution, judged))
            for key, attribution in zip(names, self.explanation, strict=True)
        )


def picture_views(explanation: Explanation) -> list[PictureView]:
    """The pictures of an explanation in order, or the samples of the tensor that was explained."""
    names = [picture.name for picture in explanation.pictures] or [sample.name for sample in explanation.samples]
    if not names:
        first = next(iter(explanation), None)
        count = len(explanation.predictions) if first is None else len(first.target)
        names = ["tensor"] if count == 1 else [f"sample {number}" for number in range(1, count + 1)]
    folders = unique(picture_slug(name) for name in names)
    pairs = zip(names, folders, strict=True)
    return [PictureView(explanation, index, name, folder) for index, (name, folder) in enumerate(pairs)]


def as_numpy(tensor: Tensor) -> NDArray[Any]:
    """As numpy, from any device; 16-bit floats, of which numpy knows one kind only, become float32."""
    tensor = tensor.detach().cpu()
    return np.asarray((tensor.float() if tensor.is_floating_point() and tensor.itemsize < 4 else tensor).numpy())
