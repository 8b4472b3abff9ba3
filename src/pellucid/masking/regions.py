"""The parts that a picture is cut into, to be switched on and off: the players of the methods that switch parts.

Every method that switches regions takes the same `regions`:

| `regions` | what they are |
|---|---|
| nothing | 50 superpixels of each picture, or on small pictures a grid of about as many cells |
| a number | exactly so many superpixels of each picture (SLIC) |
| `7x7` | a grid of so many rows and columns |
| `channels` | each channel is a region, at all places together |
| `labels.png`, `labels.npy` | a label map: pixels of one colour, or of one number, are a region |
| `inputs` | of several inputs that are explained together: each is a region |
| a tensor | in Python: a label map of whole numbers `[row, column]`, or one for each picture |

A label map has the size of the pictures, or of the model's input. Volumes are cut in the same ways: into supervoxels,
or a grid such as `4x7x7`. Signals are cut into so many segments of equal length, 50 if nothing is said, and of a table
each column is a region of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import MutableMapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from pellucid.contracts import DEFAULT, Maps, PartLike, ProbeLike, Regions, cut, joined
from pellucid.errors import BadOption
from pellucid.numerics import places

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
    one of them is more than half of the picture, are cut into a grid of about as many cells instead; signals into
    segments, tables into columns.

    Raises:
        BadOption: another text, fewer than two regions, or more than the picture has pixels.
        BadPicture: the label map cannot be read.
    """
    if probe.parts:
        return _of_all_inputs(method, kind, image, probe.parts, default)
    found = _regions(method, kind, image, probe, default)
    if found.count < 2:
        raise BadOption(f"{method} compares regions and needs at least two, got {found.count}.")
    return found


def _of_all_inputs(
    method: str, kind: int | str | Tensor | None, image: Maps, parts: Sequence[PartLike], default: int
) -> Regions:
    """Those of several inputs, numbered one after the other; the columns of tables are regions whatever is named.

    `inputs` makes each of them one.

    Raises:
        BadOption: as `regions_of`.
    """
    if isinstance(kind, Tensor):
        raise BadOption(
            f"Expected a text or a number as regions of {method} for {' and '.join(each.part.name for each in parts)} "
            "together, got a tensor. Explain one of them alone with explain=... to cut it as a tensor says."
        )
    labels, count, notes = list[Tensor](), 0, list[str]()
    for each, piece in zip(parts, cut(image, [each.part for each in parts]), strict=True):
        if kind == "inputs":
            found = Regions(torch.zeros_like(piece, dtype=torch.int64), 1, by_channel=True)
        else:
            found = _regions(method, None if each.is_tabular else kind, piece, each, default)
        labels.append((found.of_values + count).expand_as(piece))
        count += found.count
        notes += [f"Of {each.part.name}: {note}" for note in found.notes]
    return Regions(joined(labels)[:, 0], count, tuple(notes))


def _regions(
    method: str, kind: int | str | Tensor | None, image: Maps, probe: ProbeLike | PartLike, default: int
) -> Regions:
    """Those of one input."""
    size, notes = tuple(image.shape[2:]), tuple[str, ...]()
    if isinstance(kind, str) and kind.strip() == "channels":
        return _channels(method, image)
    if kind is None:
        labels, count, notes = _fitting(image, probe, default)
    elif isinstance(kind, Tensor):
        labels, count = _given(method, kind, image)
    elif isinstance(kind, str) and re.fullmatch(r"\d+(x\d+)+", kind.strip()):
        cells = tuple(map(int, kind.split("x")))
        if len(cells) != len(size) or not all(1 <= n <= length for n, length in zip(cells, size, strict=True)):
            raise BadOption(f"A grid of {kind} does not fit {method}'s {extent(image)}.")
        labels, count = _grid(size, cells), math.prod(cells)
    elif isinstance(kind, str):
        if not set(kind) & set("./"):  # no file is called so
            raise BadOption(
                f"Expected 'channels', a number of superpixels, a grid such as '7x7' or the file of a label map as "
                f"regions of {method}, got {kind!r}."
            )
        labels = probe.labels(kind).cpu()
        if labels.shape[1:] != image.shape[2:]:
            raise BadOption(f"The label map {kind!r} is {list(labels.shape[1:])}, but {method} has {extent(image)}.")
        count = int(labels.max()) + 1
    else:
        if kind > math.prod(size):
            raise BadOption(f"{extent(image).capitalize()} cannot be cut into {kind} regions for {method}.")
        labels, count = _parts(image, probe, kind) if kind > 1 else image.new_zeros(1, *size), kind
    return Regions(labels.to(image.device).expand(len(image), *size), count, notes)


def extent(image: Maps) -> str:
    """What is explained and how large it is, for messages: `pictures of 7 x 9 pixels`."""
    what, unit = {1: ("signals", "steps"), 2: ("pictures", "pixels"), 3: ("volumes", "voxels")}[image.ndim - 2]
    return f"{what} of {' x '.join(map(str, image.shape[2:]))} {unit}"


def _channels(method: str, image: Maps) -> Regions:
    """Each channel as a region.

    Raises:
        BadOption: there is only one.
    """
    count = image.shape[1]
    if count < 2:
        raise BadOption(f"{method} compares regions and needs at least two, and there is only one channel.")
    numbers = torch.arange(count, device=image.device).reshape(-1, *(1,) * len(places(image)))
    return Regions(numbers.expand_as(image), count, by_channel=True)


def _given(method: str, given: Tensor, image: Maps) -> tuple[Tensor, int]:
    """Label maps `[1 or batch, *axes]` from a tensor of whole numbers, and how many regions each has.

    Raises:
        BadOption: other numbers, another size, too many regions, or not the same number in every picture.
    """
    maps = given[None] if given.ndim == image.ndim - 2 else given
    sizes = ([1, *image.shape[2:]], [len(image), *image.shape[2:]])
    if maps.is_floating_point() or list(maps.shape) not in sizes:
        raise BadOption(
            f"Expected whole numbers {list(image.shape[2:])}, or as many for each of {len(image)}, as regions of "
            f"{method} for {extent(image)}, got {list(given.shape)} of {given.dtype}."
        )
    found = [one.unique(return_inverse=True) for one in maps.cpu()]
    counts = [len(values) for values, _ in found]
    if len(set(counts)) > 1 or counts[0] > MOST:
        raise BadOption(
            f"Expected as many regions in every picture, at most {MOST:,}, for {method}, got {min(counts):,} to "
            f"{max(counts):,}. Explain pictures with different numbers one by one."
        )
    return torch.stack([labels for _, labels in found]), counts[0]


def _fitting(image: Maps, probe: ProbeLike | PartLike, default: int) -> tuple[Tensor, int, tuple[str, ...]]:
    """Label maps `[1 or batch, *axes]` of about `default` regions, none of them half of a picture; and notes."""
    size = tuple(image.shape[2:])
    if probe.is_tabular:
        return _grid(size, size), math.prod(size), ()
    if len(size) == 1:
        count = min(default, *size)
        return _grid(size, (count,)), count, (f"Regions are {count} segments of equal length.",)
    pixels = math.prod(size)
    parts = "superpixels" if len(size) == 2 else "supervoxels"
    why = f"a {extent(image).replace('s of', ' of', 1)} is too small for {default} {parts}"
    if pixels >= _PIXELS_EACH * default:
        try:
            labels = _parts(image, probe, default)
        except BadOption:
            pass  # it does not fall into so many
        else:
            sizes = torch.stack([picture.flatten().bincount() for picture in labels])
            if 2 * int(sizes.max()) <= pixels:
                return labels, default, ()
            why = f"one of its {parts} would be more than half of {'a picture' if len(size) == 2 else 'a volume'}"
    side = round(default ** (1 / len(size)))
    cells = tuple(min(side, length) for length in size)
    return _grid(size, cells), math.prod(cells), (f"Regions are a grid of {' x '.join(map(str, cells))}: {why}.",)


def _grid(size: Sequence[int], cells: Sequence[int]) -> Tensor:
    """Label map `[1, *axes]` of cells whose sides differ by one place at most."""
    labels = torch.zeros(1, dtype=torch.int64)
    for length, count in zip(size, cells, strict=True):
        labels = labels[..., None] * count + torch.arange(length) * count // length
    return labels


def _parts(image: Maps, probe: ProbeLike | PartLike, count: int) -> Tensor:
    """Label maps `[1 or batch, *axes]` of exactly `count` superpixels, or segments of a signal."""
    if image.ndim == 3:
        return _grid(image.shape[2:], (count,))
    black, white = probe.grey(0), probe.grey(1)
    if black is None or white is None:  # the colours' range is not known: each picture's own
        axes = tuple(range(1, image.ndim))
        black, white = (end(image, axes, keepdim=True) for end in (torch.amin, torch.amax))
    version = None if image.is_inference() else image._version  # of what is written into it
    key = (version, count, *black.flatten().tolist(), *white.flatten().tolist())
    known = _CUT.setdefault(image, {})
    if key not in known:
        known[key] = _cut(image, black, white, count)
    return known[key]


_CUT: MutableMapping[Tensor, dict[tuple[Any, ...], Tensor]] = WeakIdKeyDictionary()
"""Label maps of pictures that are in use: several targets and methods cut the same ones, and SLIC takes as long as many
passes of a small network."""


def _cut(image: Maps, black: Tensor, white: Tensor, count: int) -> Tensor:
    """The same, cut now."""
    # in the 256 steps that photographs have, so that rounding elsewhere moves no border
    unit = ((image - black) / (white - black).clamp(min=1e-12)).clamp(0, 1).mul(255).round().div(255)
    pixels = unit.movedim(1, -1).double().cpu().numpy()
    return torch.from_numpy(np.stack([superpixels(picture, count) for picture in pixels]))


def superpixels(picture: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Cut a picture into exactly `count` superpixels by SLIC.

    SLIC makes about as many as one asks for. More are asked for until there are enough; then the smallest is joined to
    the neighbour of the most similar colour, again and again.

    Args:
        picture: `[row, column, channel]`, 0 to 1, or a volume `[depth, row, column, channel]`.
        count: how many, at most the number of pixels.

    Returns:
        Label map `[row, column]` or `[depth, row, column]`, from 0.

    Raises:
        BadOption: the picture is too small for so many.
    """
    from skimage.segmentation import slic

    wanted = count
    while True:
        labels = slic(
            picture, wanted, _COMPACTNESS, sigma=1, start_label=0, convert2lab=picture.shape[-1] == 3, channel_axis=-1
        )
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)
        if labels.max() + 1 >= count:
            return _joined(labels, picture, count)
        if wanted >= labels.size:
            raise BadOption(
                f"A picture of {' x '.join(map(str, labels.shape))} pixels does not fall into {count} superpixels. "
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
    turned = [np.moveaxis(labels, axis, 0) for axis in range(labels.ndim)]
    pairs = [(each[1:], each[:-1]) for each in turned]
    touching = [b[a == region] for first, second in pairs for a, b in ((first, second), (second, first))]
    found: NDArray[np.int64] = np.setdiff1d(np.concatenate(touching), [region])
    return found
