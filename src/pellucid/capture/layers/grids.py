"""How a layer's tensor is laid out in space, told by where its values are at home in the picture (`homes.py`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import permutations
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pellucid.capture.receptive import around, lean, size
from pellucid.contracts import Grid, Layout, Site
from pellucid.errors import BadSite

_UNPLACED = "every part of it can depend on the whole picture alike"
_CONSTANT = "no place of the picture is known to show in it"
_TOKENS = "its tokens are no grid of equal cells over the picture"
_PLANES: Mapping[int, tuple[type[nn.Module], ...]] = {
    1: (
        nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d, nn.InstanceNorm1d, nn.MaxPool1d, nn.AvgPool1d, nn.LPPool1d,
        nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, nn.ChannelShuffle, nn.Upsample, nn.MaxUnpool1d, nn.ZeroPad1d,
        nn.ReflectionPad1d, nn.ReplicationPad1d, nn.Dropout1d, nn.LocalResponseNorm,
    ),
    2: (
        nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d,
        nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.FractionalMaxPool2d, nn.PixelShuffle, nn.PixelUnshuffle,
        nn.ChannelShuffle, nn.Upsample, nn.MaxUnpool2d, nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d,
        nn.Dropout2d, nn.LocalResponseNorm, nn.Softmax2d,
    ),
    3: (
        nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d, nn.InstanceNorm3d, nn.MaxPool3d, nn.AvgPool3d, nn.LPPool3d,
        nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d, nn.FractionalMaxPool3d, nn.ChannelShuffle, nn.Upsample,
        nn.MaxUnpool3d, nn.ZeroPad3d, nn.ReflectionPad3d, nn.ReplicationPad3d, nn.Dropout3d, nn.LocalResponseNorm,
    ),
}  # fmt: skip
"""Modules whose result is `[batch, channel, *axes]` by definition, by the number of axes."""
_Ways: TypeAlias = "tuple[tuple[int, Layout], ...]"
"""Which axis of a sample may be that of channels."""


def _ways(shape: tuple[int, ...], axes: int) -> _Ways:
    """How a sample of this shape may hold places on so many axes."""
    if len(shape) == axes + 1 == 2:  # of tokens along one axis some may stand for no place
        return (0, "channels-first"), (1, "tokens"), (0, "tokens-last")
    if len(shape) == axes + 1:
        return (0, "channels-first"), (axes, "channels-last")
    return ((1, "tokens"), (0, "tokens-last")) if len(shape) == 2 else ()


def grid_of(boxes: Tensor | None, shape: tuple[int, ...], axes: int, module: nn.Module | None = None) -> Grid | str:
    """The grid of a layer, or why it has none in words that follow "the layer has no spatial grid:".

    Args:
        boxes: homes `[2 axes, *shape]` of one sample's values, infinite where a value belongs nowhere; None if none
            does, or nothing is known.
        shape: of the layer's output without the batch.
        axes: how many the model's input has behind the channels.
        module: of the layer. What it says about its axes counts where homes say nothing.
    """
    ways = _ways(shape, axes)
    if not ways:
        return "such a shape is neither that of maps nor that of tokens"
    planes = isinstance(module, _PLANES[axes]) and len(shape) == axes + 1
    found = _CONSTANT if boxes is None else _measured(boxes, ways[: 1 if planes else None])
    if found in (_CONSTANT, _UNPLACED) and planes and math.prod(shape[1:]) > 1:
        return Grid("channels-first", shape[1:])
    return found


def _measured(boxes: Tensor, ways: Sequence[tuple[int, Layout]]) -> Grid | str:
    """The reading of the axes whose cells are the smallest; the channels of a cell lie at one place."""
    found, reasons = list[tuple[float, Grid]](), list[str]()
    for axis, layout in sorted(ways, key=lambda way: boxes.stride(way[0] + 1) != 0):
        cells = around(boxes, [axis]).squeeze(axis + 1).expand(-1, *_without(boxes.shape[1:], axis))
        grid = _grid_of_cells(cells, layout)
        if isinstance(grid, str):
            reasons += [grid] if grid != _UNPLACED else []
        else:
            if boxes.stride(axis + 1) == 0 and _wide(grid):
                return grid  # all channels lie at exactly one place, so no other reading has smaller cells
            found.append((float(size(cells).masked_select(cells[:1].isfinite()).mean()), grid))
    if reasons:  # a line of cells fits nearly everything, so it does not count where another reading nearly did
        found = [(area, grid) for area, grid in found if _wide(grid)]
    return min(found, key=lambda pair: pair[0])[1] if found else (*reasons, _UNPLACED)[0]


def _wide(grid: Grid) -> bool:
    """Whether its cells are more than a line, where there is more than one axis."""
    return sum(n > 1 for n in grid.size) >= min(2, len(grid.size))


def _without(shape: torch.Size, axis: int) -> Iterator[int]:
    return (n for k, n in enumerate(shape) if k != axis)


def _grid_of_cells(cells: Tensor, layout: Layout) -> Grid | str:
    """Cells `[2 axes, position]` or `[2 axes, *axes]` as a grid."""
    return _read_cells(cells.float().cpu().contiguous().numpy().tobytes(), tuple(cells.shape), layout)


@lru_cache(64)
def _read_cells(data: bytes, shape: tuple[int, ...], layout: Layout) -> Grid | str:
    """The same; most layers of a network have cells that another one has."""
    cells = torch.frombuffer(bytearray(data), dtype=torch.float32).reshape(shape)
    if not bool(cells[:1].isfinite().any()):
        return _UNPLACED
    if layout.startswith("tokens"):
        return _of_tokens(cells, layout)
    if math.prod(cells.shape[1:]) < 2:
        return "it is a single cell"
    return _of_planes(cells, layout)


def _of_planes(cells: Tensor, layout: Layout) -> Grid | str:
    centres = _centres(cells)
    if all(map(_same, centres)):
        return _UNPLACED
    for way in permutations(range(len(centres))):  # the tensor's axis for each of the picture's, its own order first
        lines = [_line(along, axis) for along, axis in zip(centres, way, strict=True)]
        known = [line for line in lines if line is not None]
        if len(known) == len(lines):
            return _from_lines(known, layout, cells, way)
    if bool(cells.isfinite().all()):
        order = _rectangle([along.flatten() for along in centres])
        if order is not None:
            return Grid(layout, tuple(order.shape), order=tuple(order.flatten().tolist()))
    return "its axes are not those of the picture"


def _centres(cells: Tensor) -> list[Tensor]:
    """Twice the middle of each home, along each axis of the picture; not a number where there is none."""
    first, last = cells.chunk(2)
    return list((first - last).where(first.isfinite(), torch.nan))


def _same(centres: Tensor) -> bool:
    real = centres[~centres.isnan()]
    return bool((real == real[0]).all()) if real.numel() else True


def _line(centres: Tensor, axis: int) -> Tensor | None:
    """The centres along one axis, if they differ along it and along no other; an axis of length 1 may."""
    others = [k for k in range(centres.ndim) if k != axis]
    none = centres.isnan()
    low, high = centres.masked_fill(none, torch.inf), centres.masked_fill(none, -torch.inf)
    low, high = (low.amin(others), high.amax(others)) if others else (low, high)
    real = low.isfinite()
    if not torch.equal(low[real], high[real]):
        return None
    line = low.where(real, torch.nan)
    return line if len(line) == 1 or not _same(line) else None


def _from_lines(lines: Sequence[Tensor], layout: Layout, cells: Tensor, way: tuple[int, ...]) -> Grid | str:
    found = [_sorted(line) for line in lines]
    sides = [side for side in found if side is not None]
    if len(sides) < len(found):
        return "its cells do not follow each other as the picture's do (rolled, or padding in between)"
    size = tuple(map(len, sides))
    turned = way != tuple(range(len(way)))
    if not turned and all(torch.equal(k, torch.arange(len(k), device=k.device)) for k in sides):
        return Grid(layout, size)
    if not _alike(cells):
        return "the network turns or moves the picture so that cells at its border hold parts that lie far apart"
    numbers = torch.arange(math.prod(cells.shape[1:]), device=cells.device).reshape(cells.shape[1:])
    order = numbers.permute(way)[torch.meshgrid(*sides, indexing="ij")]
    return Grid(layout, size, order=tuple(order.flatten().tolist()))


def _sorted(line: Tensor) -> Tensor | None:
    """Positions by growing centre; None where that is not certain."""
    known = line[~line.isnan()]
    count = torch.arange(len(line), device=line.device)
    if bool((known[1:] >= known[:-1]).all()):  # cells beyond the picture may stand before and behind it
        first = int((~line.isnan()).nonzero()[0])
        return count if bool((~line[first : first + len(known)].isnan()).all()) else None
    if len(known) < len(line):
        return None
    if bool((line[1:] <= line[:-1]).all()):
        return count.flip(0)
    return line.argsort() if len(_distinct(line)[0]) == len(line) else None


def _alike(cells: Tensor) -> bool:
    """Whether the cells' sides are about equal, as those of a picture that was cut, turned or permuted are."""
    first, last = cells.chunk(2)
    sides = 1 - last - first
    return bool((sides.flatten(1).amax(1) <= 2 * sides.flatten(1).amin(1)).all())


def _of_tokens(cells: Tensor, layout: Layout) -> Grid | str:
    """Tokens that stand for a cell each; those that see all that the others do are class tokens or registers."""
    everything = lean(cells).amin(1, keepdim=True)
    placed = cells[:1].isfinite().all(0) & (cells != everything).any(0)
    numbers = placed.nonzero()[:, 0]
    if len(numbers) < 2:
        return _UNPLACED
    order = _rectangle(_centres(cells[:, numbers]))
    if order is None or not _alike(cells[:, numbers]):
        return _TOKENS
    first, shape = int(numbers[0]), tuple(order.shape)
    order = numbers[order].flatten()
    if torch.equal(order, torch.arange(first, first + len(order), device=order.device)):
        return Grid(layout, shape, first)
    return Grid(layout, shape, order=tuple(order.tolist()))


def _rectangle(centres: Sequence[Tensor]) -> Tensor | None:
    """Which position is at each cell `[*axes]`, if there is exactly one at each."""
    lines = [_distinct(along) for along in centres]
    shape = tuple(len(values) for values, _ in lines)
    where = torch.zeros_like(lines[0][1])
    for (_, numbers), length in zip(lines, shape, strict=True):
        where = where * length + numbers
    if len(where) != math.prod(shape) or len(_distinct(where)[0]) != len(where):
        return None
    return where.argsort().reshape(shape)


def _distinct(values: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct values by size, and for each value its number among them."""
    found, numbers = torch.unique(values, return_inverse=True)
    return found, numbers


def declared(site: Site, tensor: Tensor, axes: int = 2) -> Grid:
    """The grid that the user named for a layer, checked against what the layer gave.

    Args:
        site: with a grid.
        tensor: what the layer gave, batch axis first.
        axes: how many the model's input has behind the channels.

    Raises:
        BadSite: the grid has other axes than the input, or the tensor cannot hold it, or in several ways.
    """
    layout, _, cells = site.grid.rpartition(":")
    sides, _, before = cells.partition("+")
    wanted = Grid("tokens", tuple(map(int, sides.split("x"))), int(before or 0))
    if len(wanted.size) != axes:
        raise BadSite(
            f"Expected the grid of '{site.path}' with one number for each of the input's axes behind the channels, "
            f"such as #{'x'.join(['14'] * axes)}; got #{site.grid}."
        )
    shape = tuple(tensor.shape[1:])
    fits = [grid for way in _ways(shape, axes) if (grid := _fitting(way, shape, wanted))]
    if "channels-first" in [grid.layout for grid in fits]:  # the same as tokens behind the channels, all of them cells
        fits = [grid for grid in fits if grid.layout != "tokens-last"]
    chosen = [grid for grid in fits if layout in ("", grid.layout)]
    if len(chosen) == 1:
        return chosen[0]
    ways = ", ".join(f"{grid.layout}:{cells}" for grid in fits)
    raise BadSite(
        f"The layer '{site.path}' gives {list(tensor.shape)}, which "
        + (f"holds {cells} in several ways: {ways}. Say which." if chosen else f"does not hold a grid of {site.grid}.")
    )


def _fitting(way: tuple[int, Layout], shape: tuple[int, ...], wanted: Grid) -> Grid | None:
    channel, layout = way
    places = tuple(n for k, n in enumerate(shape) if k != channel)
    if layout.startswith("tokens"):
        fits = places[0] >= wanted.prefix + wanted.cells
    else:
        fits = places == wanted.size and not wanted.prefix
    return replace(wanted, layout=layout) if fits else None


def check_grid(grid: Grid | str, site: object, tensor: Tensor, axes: int = 2) -> Grid:
    """The grid itself, or the reason why there is none.

    Raises:
        BadSite: the layer has no spatial grid.
    """
    if isinstance(grid, str):
        shown = "x".join(["14"] * axes)
        axed = tensor.ndim in (3, axes + 2)
        say = f", or say how it holds its places: '{site}#{shown}', with one token before them '#{shown}+1'"
        raise BadSite(
            f"The layer '{site}' has no spatial grid: its output has shape {list(tensor.shape)}, and {grid}. Choose "
            f"one that `pellucid layers MODEL` lists, or leave the layer out{say if axed else ''}."
        )
    return grid
