"""Label maps: which region of a picture each pixel belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pellucid.contracts import Frame
from pellucid.errors import BadOption, BadPicture
from pellucid.masking import MOST
from pellucid.pictures.decode import decode


def read_labels(path: str, frames: Sequence[Frame]) -> NDArray[np.int64]:
    """Read a label map as the model sees the pictures that it belongs to.

    Args:
        path: a picture, pixels of one colour being a region, or a `.npy` file with whole numbers `[row, column]`.
        frames: how each of these pictures lies in the model's input.

    Returns:
        `[row, column]` of the model's input, from 0, in the order of the colours or numbers.

    Raises:
        BadOption: its size is neither that of all pictures nor that of the model's input.
        BadPicture: it cannot be read, or it has more than `MOST` regions.
    """
    numbers = _numbers(path) if path.endswith(".npy") else _colours(path)
    size, sizes = frames[0].size, {frame.picture for frame in frames}
    if sizes == {numbers.shape}:
        left, top, right, bottom = frames[0].box
        numbers = numbers[_centres(top, bottom, size[0], numbers.shape[0])]
        numbers = numbers[:, _centres(left, right, size[1], numbers.shape[1])]
    elif numbers.shape != size:
        known = [*(f"{r} x {c} (a picture)" for r, c in sorted(sizes - {size})), f"{size[0]} x {size[1]} (the input)"]
        raise BadOption(
            f"The label map {path!r} has {numbers.shape[0]} x {numbers.shape[1]} pixels, which is not the size of all "
            f"that is explained: {', '.join(known)}."
        )
    found, labels = np.unique(numbers, return_inverse=True)
    if len(found) > MOST:
        raise BadPicture(
            f"{path!r} has {len(found):,} regions, the limit is {MOST:,}. Is it a photograph, or was it saved as JPEG?"
        )
    return labels.reshape(numbers.shape).astype(np.int64)


def _centres(start: float, end: float, count: int, length: int) -> NDArray[np.int64]:
    """The pixels in which the centres of `count` cells between `start` and `end` lie."""
    places = start + (np.arange(count) + 0.5) * (end - start) / count
    return np.clip(np.floor(places), 0, length - 1).astype(np.int64)


def _colours(path: str) -> NDArray[np.int64]:
    image, notes = decode(path)
    if any("bits" in note for note in notes):
        raise BadPicture(f"The label map {path!r} has more than 8 bits per channel. Save its numbers as a .npy file.")
    pixels = np.asarray(image).astype(np.int64)
    return pixels[:, :, 0] << 16 | pixels[:, :, 1] << 8 | pixels[:, :, 2]


def _numbers(path: str) -> NDArray[np.int64]:
    try:
        numbers = np.load(Path(path), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadPicture(f"The label map {path!r} cannot be read: {error}.") from error
    if not isinstance(numbers, np.ndarray) or numbers.ndim != 2 or numbers.dtype.kind not in "iub" or not numbers.size:
        got = f"{numbers.dtype} {list(numbers.shape)}" if isinstance(numbers, np.ndarray) else type(numbers).__name__
        raise BadPicture(f"Expected whole numbers [row, column] in the label map {path!r}, got {got}.")
    return numbers.astype(np.int64)
