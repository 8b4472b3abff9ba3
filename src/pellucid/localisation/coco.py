"""What was found as a COCO document: the format that detection tools read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.numerics import Mask
from pellucid.pictures.canvas import Placement

if TYPE_CHECKING:
    from pellucid.localisation.located import Located

_UNNAMED = 1_000_000
"""Targets that are no class of the model, such as margins, are numbered from here."""


def run_lengths(mask: Mask) -> dict[str, Any]:
    """COCO's uncompressed run-length code: lengths of runs down the columns, the first one of background."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def from_run_lengths(code: Mapping[str, Any], size: tuple[int, int] | None = None) -> Mask:
    """The mask of an uncompressed run-length code, in a picture of so many rows and columns, or of its own size."""
    rows, columns = code["size"]
    return sampled(code, Placement((columns, rows), size or (rows, columns)))


def sampled(code: Mapping[str, Any], placement: Placement) -> Mask:
    """A run-length code read off at the centres of a picture's pixels.

    The canvas is never made, so that what a file says of its size costs nothing.
    """
    rows, columns = code["size"]
    ends = np.cumsum(np.asarray(code["counts"], np.int64))
    mask = np.zeros(placement.size, bool)
    across = np.arange(placement.size[1]) + 0.5
    for row, line in enumerate(mask):
        points = placement.back(np.stack([across, np.full_like(across, row + 0.5)], 1)).astype(np.int64)
        x, y = points[:, 0].clip(0, columns - 1), points[:, 1].clip(0, rows - 1)
        line[:] = np.searchsorted(ends, x * rows + y, side="right") % 2 == 1
    return mask


def checked_run_lengths(code: Mapping[str, Any]) -> dict[str, Any]:
    """A run-length code with plain counts that fill its size.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    rows, columns = (_whole(side) for side in code["size"])
    given = code["counts"]
    counts = unpacked(given) if isinstance(given, str) else [_whole(count) for count in given]
    if min(counts, default=0) < 0 or min(rows, columns) < 1 or sum(counts) != rows * columns:
        raise ValueError(f"the run lengths make {sum(counts)} pixels of {rows} x {columns}")
    if rows * columns >= 2**62:
        raise ValueError(f"{rows} x {columns} pixels are no picture")
    return {"size": [rows, columns], "counts": counts}


def unpacked(text: str) -> list[int]:
    """The run lengths in COCO's compressed text: six bits a character, numbers as differences to the last but one.

    Raises:
        ValueError: the text is none.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"{character!r} cannot stand there in run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError(f"{value!r} is no whole number")
    return int(value)


class Document:
    """Grows picture by picture; it keeps no arrays, so that thousands of pictures fit in memory."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories: dict[int, str] = {}

    def add(self, every: Sequence[Located], **more: Any) -> None:
        """Add all that was found in one picture, one entry for each target, and `more` to say about the picture."""
        first, number = every[0], len(self.images) + 1
        known = {
            "id": number,
            "file_name": first.name,
            "width": first.size[1],
            "height": first.size[0],
            "box": list(first.seen),
        }
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
