"""Where in a network: a layer's output or input, and how its tensor holds the picture's places."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pellucid.contracts.axes import Maps
from pellucid.errors import BadOption

_GRID = re.compile(
    r"(?:(channels-first|channels-last|tokens|tokens-last):)?([1-9]\d{0,5}(?:x[1-9]\d{0,5}){0,2})(?:\+(\d{1,6}))?"
)


@dataclass(frozen=True)
class Site:
    """A place in a model: the output (or first input) of a module, at one of its calls.

    Attributes:
        path: dotted module path exactly as `named_modules()` prints it; empty for the whole model.
        call: number of the call of the module within one forward pass, from 0; None when it is called once only.
        port: `"output"` or `"input"`.
        grid: way its tensor holds the places of the picture, where the user says so instead of having it measured:
            `14x14` (rows x columns), `16` or `4x8x8` (one or three axes), `14x14+1` (one token before them),
            `channels-last:14x14` (see `Grid.layout`).

    Written as text: `layer4`, `layer4.1.relu:1` (second call), `fc@input`, `blocks.11#14x14+1` (declared grid).
    """

    path: str
    call: int | None = None
    port: Literal["output", "input"] = "output"
    grid: str = ""

    @classmethod
    def parse(cls, text: str | Site) -> Site:
        """Read the text form.

        Raises:
            BadOption: the text after `:` is not a call number, the port is neither input nor output, or the text
                after `#` is no grid.
        """
        if isinstance(text, Site):
            return text
        place, hash_, grid = text.partition("#")
        if hash_ and not _GRID.fullmatch(grid):
            raise BadOption(
                f"Expected the grid of a layer after '#' as ROWSxCOLUMNS, with '+' and the number of tokens before it "
                f"if there are any, such as 14x14+1 or channels-last:14x14; got {grid!r} in {text!r}."
            )
        path, _, port = place.partition("@")
        path, _, call = path.partition(":")
        if port not in ("", "input", "output"):
            raise BadOption(f"A layer's port is 'input' or 'output', got {port!r} in {text!r}.")
        if call and not call.isdecimal():
            raise BadOption(f"Expected a call number from 0 after ':' in the layer {text!r}, got {call!r}.")
        return cls(path, int(call) if call else None, "input" if port == "input" else "output", grid)

    @property
    def sites(self) -> tuple[Site, ...]:
        """Itself, as of several layers each."""
        return (self,)

    def __str__(self) -> str:
        call = "" if self.call is None else f":{self.call}"
        return f"{self.path}{call}{'@input' if self.port == 'input' else ''}{'#' if self.grid else ''}{self.grid}"


@dataclass(frozen=True)
class JoinedSites:
    """Several places whose maps were joined into one. Written as text: `layer3 + layer4`."""

    sites: tuple[Site, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.sites))


Layout: TypeAlias = Literal["channels-first", "channels-last", "tokens", "tokens-last"]


@dataclass(frozen=True)
class Grid:
    """How a tensor at a site holds its spatial positions.

    Attributes:
        layout: `channels-first` `[batch, channel, *axes]`, `channels-last` `[batch, *axes, channel]`,
            `tokens` `[batch, token, channel]` or `tokens-last` `[batch, channel, token]`.
        size: cells along each axis, as they lie on the picture: rows and columns.
        prefix: class, distillation and register tokens that stand before the grid (tokens only); what stands behind it
            is no place either.
        order: for each cell, row by row, its number among all the tensor's positions, where the cells do not follow
            each other row by row (then without a prefix): maps that the network turns, mirrors or permutes.
    """

    layout: Layout
    size: tuple[int, ...]
    prefix: int = 0
    order: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """Of a grid over a picture."""
        return self.size[-2]

    @property
    def columns(self) -> int:
        """Of a grid over a picture."""
        return self.size[-1]

    @property
    def cells(self) -> int:
        """How many there are."""
        return math.prod(self.size)

    def to_maps(self, tensor: Tensor) -> Maps:
        """The site's tensor channels first, cells as they lie on the picture; a view where they lie so already."""
        if self.layout == "channels-first" and not self.order:
            return tensor
        if self.layout == "channels-last" and not self.order:
            return tensor.movedim(-1, 1)
        cells = self._flat(tensor)[:, :, self._which(tensor)]
        return cells.reshape(*cells.shape[:2], *self.size)

    def from_maps(self, maps: Maps, original: Tensor) -> Tensor:
        """Put such maps back into the site's own layout; tokens that are no cells come from `original`."""
        if self.layout == "channels-first" and not self.order:
            return maps
        if self.layout == "channels-last" and not self.order:
            return maps.movedim(1, -1)
        flat = self._flat(original).expand(len(maps), -1, -1)
        if self.order:
            flat = flat.clone()
            flat[:, :, self._which(original)] = maps.flatten(2)
        else:
            stop = self.prefix + self.cells
            flat = torch.cat([flat[:, :, : self.prefix], maps.flatten(2), flat[:, :, stop:]], 2)
        whole = flat if self.layout in ("channels-first", "tokens-last") else flat.transpose(1, 2)
        return whole.reshape(maps.shape[0], *original.shape[1:])

    def _flat(self, tensor: Tensor) -> Tensor:
        """`[batch, channel, position]`."""
        if self.layout in ("channels-first", "tokens-last"):
            return tensor.flatten(2)
        return tensor.flatten(1, -2).transpose(1, 2)

    def _which(self, tensor: Tensor) -> slice | Tensor:
        """The positions of the cells, row by row."""
        if not self.order:
            return slice(self.prefix, self.prefix + self.cells)
        return torch.tensor(self.order, dtype=torch.int64, device=tensor.device)
