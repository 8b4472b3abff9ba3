"""`pellucid.dissect`: which units match which concept, given masks of concepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pellucid.capture.passes import activations, read_grid
from pellucid.capture.running import guarded
from pellucid.contracts import Model, Picture, Site
from pellucid.errors import BadOption
from pellucid.inspection.concept_masks import covered, upright
from pellucid.models.preprocessing import preprocessing_of
from pellucid.models.wrap import wrap
from pellucid.numerics import full_precision, resize
from pellucid.pictures import prepare
from pellucid.pictures.decode import orientation_of
from pellucid.results import Result

_AT_ONCE = 8


@dataclass(frozen=True)
class Match:
    """A unit, the concept that it matches best, and the overlap: intersection over union, 0 to 1."""

    unit: int
    concept: str
    iou: float


@dataclass(frozen=True, eq=False)
class Dissection(Result):
    """How well every unit of a layer matches every concept.

    Attributes:
        site: the layer.
        concepts: their names.
        iou: `[unit, concept]`: intersection over union of where the unit is strong and where the concept is, over all
            pictures together.
        limits: `[unit]`: from where on a unit counts as strong.
        threshold: overlap from which a unit counts as a detector.
        covered: share of all pixels that each concept covers: the overlap that a blind unit could reach by being
            strong everywhere.
        model: the network.
        pictures: paths, sample names, or what else the pictures are called, in order.
    """

    site: Site
    concepts: tuple[str, ...]
    iou: Tensor
    limits: Tensor
    threshold: float
    covered: tuple[float, ...]
    model: Model
    pictures: tuple[str, ...]

    @property
    def matches(self) -> tuple[Match, ...]:
        """Each unit whose best concept reaches the threshold, best first."""
        best, which = self.iou.max(1)
        found = [
            Match(unit, self.concepts[concept], value)
            for unit, (value, concept) in enumerate(zip(best.tolist(), which.tolist(), strict=True))
            if value >= self.threshold
        ]
        return tuple(sorted(found, key=lambda match: (-match.iou, match.unit)))

    def save(self, folder: str | Path, *, command: str = "") -> Path:
        """Write `dissection.json` and what `pellucid.read` reads into a folder.

        Args:
            folder: path of the folder; files of the same names are replaced.
            command: the command line that did it, for the record.

        Raises:
            BadOption: the folder cannot be written to; nothing is left behind.
        """
        found: Path = self._do("save", Path(folder).expanduser(), command=command)
        return found


def dissect(
    model: Model | nn.Module,
    pictures: Sequence[Any],
    masks: Mapping[str, Sequence[Any]],
    layer: str | Site,
    *,
    quantile: float = 0.005,
    threshold: float = 0.04,
) -> Dissection:
    """Compare where each unit is strong with where each concept is.

    A unit is strong where it exceeds the value that it exceeds in a share `quantile` of all places of all pictures;
    its maps are resized bilinearly to the model's input first (Bau et al., CVPR 2017, arXiv:1704.05796, section 2).
    A match says where a unit answers, not that the network uses it so.

    Args:
        model: a `Model` or any `nn.Module` that knows how it is fed.
        pictures: paths, PIL images or arrays.
        masks: one mask for each picture, by concept, `[row, column]` at the picture's own size, not zero where the
            concept is: a path, PIL image or array; None where the picture does not show it. A file or image that is
            black all over says with its opacity where the concept is.
        layer: one with a spatial grid.
        quantile: 0 to 1.
        threshold: overlap from which a unit counts as a detector, 0 to 1.

    Raises:
        BadOption: masks and pictures do not fit each other, or a share that is none.
        BadSite: the layer has no grid.
    """
    if not 0 < quantile < 1 or not 0 <= threshold <= 1:
        raise BadOption(f"Expected shares between 0 and 1 as quantile and threshold, got {quantile} and {threshold}.")
    if not pictures or not masks:
        raise BadOption("Expected at least one picture and one concept with its masks.")
    for concept, given in masks.items():
        if len(given) != len(pictures):
            raise BadOption(f"Expected one mask of {concept!r} per picture, got {len(given)} for {len(pictures)}.")
    model, site = wrap(model), Site.parse(layer)
    if preprocessing_of(model).size is None:
        raise BadOption("Dissection needs inputs of one size. Say it with pellucid.wrap(model, size=...) (--size).")
    read = [prepare(picture, preprocessing_of(model)) for picture in pictures]
    truth = torch.stack(
        [
            torch.stack([_mask(given[k], pictures[k], read[k], concept) for concept, given in masks.items()])
            for k in range(len(read))
        ]
    )
    maps = _maps(model, site, read)
    places = maps.transpose(0, 1).flatten(1)
    limits = places.kthvalue(places.shape[1] - int(quantile * places.shape[1]), dim=1).values.double()
    shared = torch.zeros(maps.shape[1], truth.shape[1], dtype=torch.float64)
    strong, there = torch.zeros(maps.shape[1], dtype=torch.float64), truth.sum((0, 2, 3)).double()
    for one, concepts in zip(maps, truth, strict=True):
        above = (resize(one[None].double(), (truth.shape[2], truth.shape[3]))[0] > limits[:, None, None]).flatten(1)
        shared += above.double() @ concepts.flatten(1).double().T
        strong += above.sum(1)
    union = strong[:, None] + there - shared
    iou = torch.where(union > 0, shared / union.clamp_min(1), 0.0)
    covered = tuple((there / truth[:, 0].numel()).tolist())
    named = tuple(_named(source, picture) for source, picture in zip(pictures, read, strict=True))
    return Dissection(site, tuple(masks), iou, limits, threshold, covered, model, named)


def _named(source: Any, picture: Picture) -> str:
    """What reads a picture again, or its name where nothing does."""
    return str(source) if isinstance(source, str | Path) else picture.name


def _maps(model: Model, site: Site, read: Sequence[Picture]) -> Tensor:
    """The layer's maps for all pictures, `[picture, unit, row, column]`, on the CPU."""
    parts = []
    with guarded(model.module):
        for start in range(0, len(read), _AT_ONCE):
            image = torch.stack([p.tensor for p in read[start : start + _AT_ONCE]]).to(model.device)
            values = activations(model, image, [site])[site]
            parts.append(full_precision(read_grid(model, site, values, image).to_maps(values)).cpu())
    return torch.cat(parts)


def _mask(given: Any, source: Any, picture: Picture, concept: str) -> Tensor:
    """Where the concept is in what the model sees, bool `[row, column]`."""
    rows, columns = picture.tensor.shape[1:]
    if given is None:
        return torch.zeros(rows, columns, dtype=torch.bool)
    array = upright(covered(given), picture.image.size, orientation_of(source), f"{concept!r} for {picture.name}")
    seen = Image.fromarray(array.astype(np.uint8) * 255).resize((columns, rows), Image.Resampling.NEAREST, picture.box)
    return torch.from_numpy(np.asarray(seen) > 127)
