"""The parts that a picture is cut into, to be switched on and off: superpixels, a grid, or the user's own label map.

Every method that switches regions takes the same `regions`:

| `regions` | what they are |
|---|---|
| nothing | 50 superpixels of each picture, or on small pictures a grid of about as many cells |
| a number | exactly so many superpixels of each picture (SLIC) |
| `7x7` | a grid of so many rows and columns |
| `labels.png`, `labels.npy` | a label map: pixels of one colour, or of one number, are a region |
| a tensor | in Python: a label map of whole numbers `[row, column]`, or one for each picture |

A label map has the size of the pictures, or of the model's input.
"""

from __future__ import annotations

import math
import re

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.contracts import DEFAULT, Maps, ProbeLike, Regions
from pellucid.errors import BadOption

MOST = 1000
"""More regions than this are no label map but a photograph or a map whose borders were blurred."""

_PIXELS_EACH = 4
"""Pixels without which a superpixel is none."""

_COMPACTNESS = 10.0
"""How much nearness counts against colour in SLIC (Achanta et al. 2012, section 3.1; 1 to 40, 10 is theirs)."""


def regions_of(
    method: str, kind: int | str | Tensor | None, image: Maps, probe: ProbeLike, default: int = DEFAULT
) -> Regions:
    """The regions that the option `regions` names; errors name the `method`.

    None is so many superpixels as `default` says. Small pictures, and those that superpixels would cut so unevenly that
    one of them is more than half of the picture, are cut into a grid of about as many cells instead.

    Raises:
        BadOption: another text, fewer than two regions, or more than the picture has pixels.
        BadPicture: the label map cannot be read.
    """
    rows, columns = image.shape[2:]
    notes: tuple[str, ...] = ()
    if kind is None:
        labels, count, notes = _fitting(image, probe, default)
    elif isinstance(kind, Tensor):
        labels, count = _given(method, kind, image)
    elif isinstance(kind, str) and (cells := re.fullmatch(r"(\d+)x(\d+)", kind.strip())):
        down, across = int(cells[1]), int(cells[2])
        if not (1 <= down <= rows and 1 <= across <= columns):
            raise BadOption(f"A grid of {kind} does not fit {method}'s pictures of {rows} x {columns} pixels.")
        labels, count = _grid(rows, columns, down, across), down * across
    elif isinstance(kind, str):
        if not set(kind) & set("./"):  # no file is called so
            raise BadOption(
                f"Expected a number of superpixels, a grid such as '7x7' or the file of a label map as regions of "
                f"{method}, got {kind!r}."
            )
        labels = probe.labels(kind).cpu()
        count = int(labels.max()) + 1
    else:
        if kind > rows * columns:
            raise BadOption(f"Pictures of {rows} x {columns} pixels cannot be cut into {kind} regions for {method}.")
        labels, count = _superpixels(image, probe, kind) if kind > 1 else image.new_zeros(0), kind
    if count < 2:
        raise BadOption(f"{method} compares regions and needs at least two, got {count}.")
    return Regions(labels.to(image.device).expand(len(image), rows, columns), count, notes)


def _given(method: str, given: Tensor, image: Maps) -> tuple[Tensor, int]:
    """Label maps `[1 or batch, row, column]` from a tensor of whole numbers, and how many regions each has.

    Raises:
        BadOption: other numbers, another size, too many regions, or not the same number in every picture.
    """
    maps = given[None] if given.ndim == 2 else given
    sizes = ([1, *image.shape[2:]], [len(image), *image.shape[2:]])
    if maps.is_floating_point() or list(maps.shape) not in sizes:
        raise BadOption(
            f"Expected whole numbers [row, column] or [batch, row, column] as regions of {method} that fit pictures of "
            f"shape {list(image.shape)}, got {list(given.shape)} of {given.dtype}."
        )
    found = [one.unique(return_inverse=True) for one in maps.cpu()]
    counts = [len(values) for values, _ in found]
    if len(set(counts)) > 1 or counts[0] > MOST:
        raise BadOption(
            f"Expected as many regions in every picture, at most {MOST:,}, for {method}, got {min(counts):,} to "
            f"{max(counts):,}. Explain pictures with different numbers one by one."
        )
    return torch.stack([labels for _, labels in found]), counts[0]


def _fitting(image: Maps, probe: ProbeLike, default: int) -> tuple[Tensor, int, tuple[str, ...]]:
    """Label maps `[1 or batch, row, column]` of about `default` regions, none of them half of a picture; and notes."""
    rows, columns = image.shape[2:]
    why = f"a picture of {rows} x {columns} pixels is too small for {default} superpixels"
    if rows * columns >= _PIXELS_EACH * default:
        try:
            labels = _superpixels(image, probe, default)
        except BadOption:
            pass  # it does not fall into so many
        else:
            sizes = torch.stack([picture.flatten().bincount() for picture in labels])
            if 2 * int(sizes.max()) <= rows * columns:
                return labels, default, ()
            why = "one of its superpixels would be more than half of a picture"
    side = round(default**0.5)
    down, across = min(side, rows), min(side, columns)
    return _grid(rows, columns, down, across), down * across, (f"Regions are a grid of {down} x {across}: {why}.",)


def _grid(rows: int, columns: int, down: int, across: int) -> Tensor:
    """Label map `[1, row, column]` of cells whose sides differ by one pixel at most."""
    row, column = torch.arange(rows) * down // rows, torch.arange(columns) * across // columns
    return (row[:, None] * across + column)[None]


def _superpixels(image: Maps, probe: ProbeLike, count: int) -> Tensor:
    """Label maps `[batch, row, column]` of exactly `count` superpixels."""
    black, white = probe.grey(0), probe.grey(1)
    if black is None or white is None:  # the colours' range is not known: each picture's own
        black, white = (end(image, (1, 2, 3), keepdim=True) for end in (torch.amin, torch.amax))
    # in the 256 steps that photographs have, so that rounding elsewhere moves no border
    unit = ((image - black) / (white - black).clamp(min=1e-12)).clamp(0, 1).mul(255).round().div(255)
    pixels = unit.permute(0, 2, 3, 1).double().cpu().numpy()
    return torch.from_numpy(np.stack([superpixels(picture, count) for picture in pixels]))


def superpixels(picture: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Cut a picture into exactly `count` superpixels by SLIC.

    SLIC makes about as many as one asks for. More are asked for until there are enough; then the smallest is joined to
    the neighbour of the most similar colour, again and again.

    Args:
        picture: `[row, column, channel]`, 0 to 1.
        count: how many, at most the number of pixels.

    Returns:
        Label map `[row, column]`, from 0.

    Raises:
        BadOption: the picture is too small for so many.
    """
    from skimage.segmentation import slic

    wanted = count
    while True:
        labels = slic(
            picture, wanted, _COMPACTNESS, sigma=1, start_label=0, convert2lab=picture.shape[2] == 3, channel_axis=-1
        )
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)
        if labels.max() + 1 >= count:
            return _joined(labels, picture, count)
        if wanted >= labels.size:
            raise BadOption(
                f"A picture of {labels.shape[0]} x {labels.shape[1]} pixels does not fall into {count} superpixels. "
                "Ask for fewer, or for a grid such as '4x4'."
            )
        wanted = min(labels.size, math.ceil(1.25 * wanted))


def _joined(labels: NDArray[np.int64], picture: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Join the smallest region to its most similar neighbour until `count` are left."""
    while (sizes := np.bincount(labels.ravel())).size > count:
        totals = np.stack([np.bincount(labels.ravel(), channel.ravel()) for channel in np.moveaxis(picture, -1, 0)], 1)
        colours, smallest = totals / sizes[:, None], int(sizes.argmin())
        near = _neighbours(labels, smallest)
        best = near[int(((colours[near] - colours[smallest]) ** 2).sum(1).argmin())]
        labels = np.where(labels == smallest, best, labels)
        labels -= labels > smallest
    return labels


def _neighbours(labels: NDArray[np.int64], region: int) -> NDArray[np.int64]:
    """The regions that share an edge with one."""
    pairs = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]
    touching = [b[a == region] for first, second in pairs for a, b in ((first, second), (second, first))]
    found: NDArray[np.int64] = np.setdiff1d(np.concatenate(touching), [region])
    return found
