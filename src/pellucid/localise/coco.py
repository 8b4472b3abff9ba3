"""What was found as a COCO document: the format that detection tools read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.components import Mask

if TYPE_CHECKING:
    from pellucid.localise.localisation import Located

_UNNAMED = 1_000_000
"""Targets that are no class of the model, such as margins, are numbered from here."""


def run_lengths(mask: Mask) -> dict[str, Any]:
    """COCO's uncompressed run-length code: lengths of runs down the columns, the first one of background."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def from_run_lengths(code: Mapping[str, Any]) -> Mask:
    """The mask of an uncompressed run-length code."""
    rows, columns = code["size"]
    counts = np.asarray(code["counts"])
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.asarray(flat.reshape(columns, rows).T)


class Document:
    """Grows picture by picture; it keeps no arrays, so that thousands of pictures fit in memory."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories: dict[int, str] = {}

    def add(self, every: Sequence[Located], **more: Any) -> None:
        """Add all that was found in one picture, one entry for each target, and `more` to say about the picture."""
        first, number = every[0], len(self.images) + 1
        known = {"id": number, "file_name": first.name, "width": first.size[1], "height": first.size[0]}
        self.images.append({**known, **more})
        for located in every:
            category = self._category(located)
            for segment in located.segments:
                self.annotations.append({
                    "id": len(self.annotations) + 1, "image_id": number, "category_id": category,
                    "bbox": segment.bbox, "area": segment.area, "iscrowd": 0,
                    "segmentation": run_lengths(segment.mask), "score": located.probability, "peak": segment.peak,
                })  # fmt: skip

    def _category(self, located: Located) -> int:
        others = [number for number in self.categories if number >= _UNNAMED]
        if located.label is not None:
            number = located.label
        else:
            known = (number for number in others if self.categories[number] == located.target)
            number = next(known, _UNNAMED + len(others))
        self.categories[number] = located.target
        return number

    def as_dict(self) -> dict[str, Any]:
        """The document: images, annotations and categories.

        A category's id is the class's number in the model's output. An annotation's `score` is the class's probability
        in the picture, null where it is not known, and `peak` the map's largest value in the part as a share of that
        in the picture.
        """
        categories = [{"id": number, "name": self.categories[number]} for number in sorted(self.categories)]
        return {"images": self.images, "annotations": self.annotations, "categories": categories}


def document(every: Iterable[Sequence[Located]]) -> dict[str, Any]:
    """The COCO document of several pictures."""
    made = Document()
    for located in every:
        made.add(located)
    return made.as_dict()
