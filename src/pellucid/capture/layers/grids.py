"""How a layer's tensor is laid out in space, told by where its values are at home in the picture (`homes.py`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from pellucid.capture.receptive import around, lean, size
from pellucid.contracts import Grid, Layout, Site
from pellucid.errors import BadSite

_UNPLACED = "every part of it can depend on the whole picture alike"
_CONSTANT = "no place of the picture is known to show in it"
_TOKENS = "its tokens are no grid of equal cells over the picture"
_PLANES = (
    nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.FractionalMaxPool2d, nn.PixelShuffle, nn.PixelUnshuffle,
    nn.ChannelShuffle, nn.Upsample, nn.MaxUnpool2d, nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d,
    nn.Dropout2d, nn.LocalResponseNorm, nn.Softmax2d,
)  # fmt: skip
"""Modules whose result is `[batch, channel, row, column]` by definition."""
_AXES: dict[int, tuple[tuple[int, Layout], ...]] = {
    3: ((0, "channels-first"), (2, "channels-last")),
    2: ((1, "tokens"), (0, "tokens-last")),
}
"""Which axis of a sample may be that of channels."""


def grid_of(boxes: Tensor | None, shape: tuple[int, ...], module: nn.Module | None = None) -> Grid | str:
    """The grid of a layer, or why it has none in words that follow "the layer has no spatial grid:".

    Args:
        boxes: homes `[4, *shape]` of one sample's values, infinite where a value belongs nowhere; None if none does, or
            nothing is known.
        shape: of the layer's output without the batch.
        module: of the layer. What it says about its axes counts where homes say nothing.
    """
    if len(shape) not in _AXES:
        return "such a shape is neither that of maps nor that of tokens"
    planes = isinstance(module, _PLANES) and len(shape) == 3
    ways = _AXES[len(shape)][: 1 if planes else None]
    found = _CONSTANT if boxes is None else _measured(boxes, ways)
    if found in (_CONSTANT, _UNPLACED) and planes and math.prod(shape[1:]) > 1:
        return Grid("channels-first", shape[1], shape[2])
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
            if boxes.stride(axis + 1) == 0 and grid.rows > 1 and grid.columns > 1:
                return grid  # all channels lie at exactly one place, so no other reading has smaller cells
            found.append((float(size(cells).masked_select(cells[:1].isfinite()).mean()), grid))
    if reasons:  # a line of cells fits nearly everything, so it does not count where another reading nearly did
        found = [(area, grid) for area, grid in found if grid.rows > 1 and grid.columns > 1]
    return min(found, key=lambda pair: pair[0])[1] if found else (*reasons, _UNPLACED)[0]


def _without(shape: torch.Size, axis: int) -> Iterator[int]:
    return (n for k, n in enumerate(shape) if k != axis)


def _grid_of_cells(cells: Tensor, layout: Layout) -> Grid | str:
    """Cells `[4, position]` or `[4, first axis, second axis]` as a grid."""
    return _read_cells(cells.float().cpu().contiguous().numpy().tobytes(), tuple(cells.shape), layout)


@lru_cache(64)
def _read_cells(data: bytes, shape: tuple[int, ...], layout: Layout) -> Grid | str:
    """The same; most layers of a network have cells that another one has."""
    cells = torch.frombuffer(bytearray(data), dtype=torch.float32).reshape(shape)
    if not bool(cells[:1].isfinite().any()):
        return _UNPLACED
    if cells.ndim == 2:
        return _of_tokens(cells, layout)
    if math.prod(cells.shape[1:]) < 2:
        return "it is a single cell"
    return _of_planes(cells, layout)


def _of_planes(cells: Tensor, layout: Layout) -> Grid | str:
    rows, columns = _centres(cells)
    if _same(rows) and _same(columns):
        return _UNPLACED
    for turned in (False, True):
        down, across = (_line(centres, int(turned) ^ k) for k, centres in enumerate((rows, columns)))
        if down is not None and across is not None:
            return _from_lines(down, across, layout, cells, turned=turned)
    if bool(cells.isfinite().all()):
        order = _rectangle(rows.flatten(), columns.flatten())
        if order is not None:
            return Grid(layout, order.shape[0], order.shape[1], order=tuple(order.flatten().tolist()))
    return "its axes are not those of the picture"


def _centres(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the row and the column in the middle of each home; not a number where there is none."""
    found = (cells[:2] - cells[2:]).where(cells[:2].isfinite(), torch.nan)
    return found[0], found[1]


def _same(centres: Tensor) -> bool:
    real = centres[~centres.isnan()]
    return bool((real == real[0]).all()) if real.numel() else True


def _line(centres: Tensor, axis: int) -> Tensor | None:
    """The centres along one of two axes, if they differ along it and not along the other; an axis of length 1 may."""
    other = 1 - axis
    none = centres.isnan()
    low = centres.masked_fill(none, torch.inf).amin(other)
    high = centres.masked_fill(none, -torch.inf).amax(other)
    real = low.isfinite()
    if not torch.equal(low[real], high[real]):
        return None
    line = low.where(real, torch.nan)
    return line if len(line) == 1 or not _same(line) else None


def _from_lines(down: Tensor, across: Tensor, layout: Layout, cells: Tensor, *, turned: bool) -> Grid | str:
    rows, columns = _sorted(down), _sorted(across)
    if rows is None or columns is None:
        return "its cells do not follow each other as the picture's do (rolled, or padding in between)"
    in_order = not turned and all(torch.equal(k, torch.arange(len(k), device=k.device)) for k in (rows, columns))
    if in_order:
        return Grid(layout, len(rows), len(columns))
    if not _alike(cells):
        return "the network turns or moves the picture so that cells at its border hold parts that lie far apart"
    width = cells.shape[2]
    order = columns[None] * width + rows[:, None] if turned else rows[:, None] * width + columns[None]
    return Grid(layout, len(rows), len(columns), order=tuple(order.flatten().tolist()))


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
    sides = 1 - cells[2:] - cells[:2]
    return bool((sides.flatten(1).amax(1) <= 2 * sides.flatten(1).amin(1)).all())


def _of_tokens(cells: Tensor, layout: Layout) -> Grid | str:
    """Tokens that stand for a cell each; those that see all that the others do are class tokens or registers."""
    everything = lean(cells).amin(1, keepdim=True)
    placed = cells[:1].isfinite().all(0) & (cells != everything).any(0)
    numbers = placed.nonzero()[:, 0]
    if len(numbers) < 2:
        return _UNPLACED
    rows, columns = _centres(cells[:, numbers])
    order = _rectangle(rows, columns)
    if order is None or not _alike(cells[:, numbers]):
        return _TOKENS
    first, shape = int(numbers[0]), order.shape
    order = numbers[order].flatten()
    if torch.equal(order, torch.arange(first, first + len(order), device=order.device)):
        return Grid(layout, shape[0], shape[1], first)
    return Grid(layout, shape[0], shape[1], order=tuple(order.tolist()))


def _rectangle(rows: Tensor, columns: Tensor) -> Tensor | None:
    """Which position is at each cell `[row, column]`, if there is exactly one at each."""
    high, wide = _distinct(rows), _distinct(columns)
    shape = (len(high[0]), len(wide[0]))
    where = high[1] * shape[1] + wide[1]
    if len(rows) != math.prod(shape) or len(_distinct(where)[0]) != len(where):
        return None
    return where.argsort().reshape(shape)


def _distinct(values: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct values by size, and for each value its number among them."""
    found, numbers = torch.unique(values, return_inverse=True)
    return found, numbers


def declared(site: Site, tensor: Tensor) -> Grid:
    """The grid that the user named for a layer, checked against what the layer gave.

    Args:
        site: with a grid.
        tensor: what the layer gave, batch axis first.

    Raises:
        BadSite: the tensor cannot hold such a grid, or in several ways.
    """
    layout, _, cells = site.grid.rpartition(":")
    sides, _, before = cells.partition("+")
    rows, columns = map(int, sides.split("x"))
    shape = tuple(tensor.shape[1:])
    wanted = Grid("tokens", rows, columns, int(before or 0))
    fits = [grid for axis in _AXES.get(len(shape), ()) if (grid := _fitting(axis, shape, wanted))]
    chosen = [grid for grid in fits if layout in ("", grid.layout)]
    if len(chosen) == 1:
        return chosen[0]
    ways = ", ".join(f"{grid.layout}:{cells}" for grid in fits)
    raise BadSite(
        f"The layer '{site.path}' gives {list(tensor.shape)}, which "
        + (f"holds {cells} in several ways: {ways}. Say which." if chosen else f"does not hold a grid of {site.grid}.")
    )


def _fitting(axis: tuple[int, Layout], shape: tuple[int, ...], wanted: Grid) -> Grid | None:
    channel, layout = axis
    places = tuple(n for k, n in enumerate(shape) if k != channel)
    if len(places) == 2:
        fits = places == (wanted.rows, wanted.columns) and not wanted.prefix
    else:
        fits = places[0] >= wanted.prefix + wanted.rows * wanted.columns
    return replace(wanted, layout=layout) if fits else None


def check_grid(grid: Grid | str, site: object, tensor: Tensor) -> Grid:
    """The grid itself, or the reason why there is none.

    Raises:
        BadSite: the layer has no spatial grid.
    """
    if isinstance(grid, str):
        say = f", or say how it holds its places: '{site}#14x14', with one token before them '#14x14+1'"
        raise BadSite(
            f"The layer '{site}' has no spatial grid: its output has shape {list(tensor.shape)}, and {grid}. Choose "
            f"one that `pellucid layers MODEL` lists, or leave the layer out{say if tensor.ndim in (3, 4) else ''}."
        )
    return grid
