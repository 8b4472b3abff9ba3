"""The result: pictures and how they came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import PIL.Image
import torch
from torch import Tensor

from pellucid.contracts import Model
from pellucid.feature_visualisation.recipe import Recipe
from pellucid.feature_visualisation.spectrum import spectrum_slope
from pellucid.feature_visualisation.transparency import over_grey
from pellucid.feature_visualisation.trust_panel import VisualisationTrust

Snapshot = tuple[int, Tensor]
"""The step after which pictures were taken, and the pictures `[picture, channel, row, column]`."""


@dataclass(frozen=True, eq=False)
class Visualisation:
    """Pictures and how they came about; what is to be different is a copy, by `dataclasses.replace`.

    Attributes:
        model: network that was asked.
        objective: expression that was made large, as text.
        recipe: the choices.
        seed: integer that started all random draws.
        size: rows and columns in pixels.
        pictures: values `[picture, channel, row, column]`, 0 to 1.
        objectives: objective of the transformed pictures at each step, `[step, picture]`.
        final: objective of the untransformed pictures at the end, `[picture]`; over plain grey where they have alpha.
        terms: value of each part of the objective at the end, `[picture]`, by its text.
        attention: absolute gradient of the picture, `[picture, row, column]`, summed over channels and steps.
        rescued: number of gradients that were led around dead rectifiers in the first steps.
        stopped: True where it was interrupted.
        seconds: time that it took in all.
        alpha: opacity `[picture, row, column]`, 0 to 1; None where the pictures have none.
        notes: sentences that the reader must know.
        snapshots: pictures on the way, with the step after which they were taken; opacity is behind the channels.
        titles: text for each picture; none where they have no titles.
        columns: number of columns of the sheet that shows them; None lets it choose.
        mosaic: True where the pictures are parts of one, put together without gaps.
        beside: further images that belong to these, with titles.
        trust: comparison of each picture with photographs, where it was made; see `trust.py`.
        made_by: name of the composed recipe, "" where there was none.
        options: values of that recipe's options.
    """

    model: Model
    objective: str
    recipe: Recipe
    seed: int
    size: tuple[int, int]
    pictures: Tensor
    objectives: Tensor
    final: Tensor
    terms: Mapping[str, Tensor]
    attention: Tensor
    rescued: int
    stopped: bool
    seconds: float
    alpha: Tensor | None = None
    notes: tuple[str, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    titles: tuple[str, ...] = ()
    columns: int | None = None
    mosaic: bool = False
    beside: tuple[tuple[PIL.Image.Image, str], ...] = ()
    trust: tuple[VisualisationTrust, ...] = ()
    made_by: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def judged(self) -> Tensor:
        """The pictures as the network is asked about them: over plain grey where they have alpha."""
        if self.alpha is None:
            return self.pictures
        return over_grey(torch.cat([self.pictures, self.alpha[:, None]], 1), self.pictures.shape[1])[0]

    @property
    def slope(self) -> list[float]:
        """Slope of each picture's power spectrum in log-log; photographs have about -2."""
        return [spectrum_slope(picture) for picture in self.judged]


def gathered(made: Iterable[Visualisation]) -> Visualisation:
    """Several results of one size as one; none is begun after one that was interrupted."""
    parts: list[Visualisation] = []
    for part in made:
        parts.append(part)
        if part.stopped:
            break
    steps = min(len(part.objectives) for part in parts)
    return replace(
        parts[0],
        objective="; ".join(dict.fromkeys(part.objective for part in parts)),
        pictures=torch.cat([part.pictures for part in parts]),
        objectives=torch.cat([part.objectives[:steps] for part in parts], 1),
        final=torch.cat([part.final for part in parts]),
        terms={},
        alpha=None if parts[0].alpha is None else torch.cat([part.alpha for part in parts if part.alpha is not None]),
        attention=torch.cat([part.attention for part in parts]),
        rescued=sum(part.rescued for part in parts),
        stopped=any(part.stopped for part in parts),
        seconds=sum(part.seconds for part in parts),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        titles=tuple(title for part in parts for title in part.titles),
        snapshots=together([part.snapshots for part in parts]),
    )


def together(chunks: Sequence[Sequence[Snapshot]]) -> tuple[Snapshot, ...]:
    """Snapshots of all pictures, of the steps that every chunk has reached."""
    return tuple((taken[0][0], torch.cat([pictures for _, pictures in taken])) for taken in zip(*chunks, strict=False))
