"""Receptive fields: the part of the picture that a layer's positions can depend on, in theory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from pellucid.capture.receptive.propagation import Reach
from pellucid.capture.receptive.rules import Doubt, around
from pellucid.capture.running import Recorder, forward, input_type
from pellucid.contracts import Grid, Model, Site

Status = Literal["exact", "bound", "whole picture", "data dependent"]


@dataclass(frozen=True)
class Positions:
    """The boxes `[2 n, *grid]` of a grid's positions as the pass found them; see `reach.py`."""

    boxes: Tensor
    pixels: tuple[int, ...]
    doubts: frozenset[Doubt]


@dataclass(frozen=True)
class ReceptiveField:
    """What the positions of a layer's grid can depend on: a box of pixels each, whatever the weights are.

    Padding counts as if the picture went on, so boxes may begin before the first pixel and end behind the last one.
    Holes (dilation) count as inside.

    Attributes:
        size: of a box in pixels, one number per axis of the picture; the largest where positions differ.
        step: pixels from one position's box to the next one's; None along an axis with a single position, or where
            the boxes do not follow a rule.
        start: first pixel of the first position's box.
        status: `exact`: all boxes have this size, and position k's begins at `start` + k `step`; `bound`: none is
            larger; `whole picture`: every position can depend on every pixel; `data dependent`: which pixels count
            depends on their values, and none beyond the box does.
        why: for people, if the status is not `exact`.
        boxes: `[2 n, *grid]`, per position the first pixels and the negated last ones.
        pixels: size of the picture.
    """

    size: tuple[int, ...]
    step: tuple[float | None, ...]
    start: tuple[int, ...]
    status: Status
    why: str
    boxes: Tensor = field(repr=False, compare=False)
    pixels: tuple[int, ...]

    def box(self, *position: int) -> tuple[tuple[int, int], ...]:
        """First and last pixel along each axis that the grid's `position` can depend on, within the picture.

        The last lies before the first where all of them are padding.
        """
        first, last = self.boxes[(slice(None), *position)].chunk(2)  # type: ignore[index]
        pairs = zip(first.tolist(), (-last).tolist(), self.pixels, strict=True)
        return tuple((int(max(a, 0)), int(min(b, n - 1))) if a <= b else (0, -1) for a, b, n in pairs)


def positions(reach: Reach, tensor: Tensor, grid: Grid | None = None) -> Positions | None:
    """What the positions of a tensor can depend on, to be asked at the moment when the layer returns it.

    Args:
        reach: of the pass.
        tensor: what the layer returned, batch axis first.
        grid: how it holds its positions; None is channels first, and a tensor without positions is one position.

    Returns:
        None if no value depends on the picture.
    """
    boxes = reach.boxes(tensor)
    if boxes is None:
        return None
    maps = grid.to_maps(boxes[:, 0]) if grid else boxes[:, 0]
    return Positions(around(maps, [0]).squeeze(1) if maps.ndim > 1 else maps, reach.pixels, reach.doubts(tensor))


def receptive_field(found: Positions) -> ReceptiveField | None:
    """Sum up the boxes of a grid's positions, outside the pass; None if none of them depends on the picture."""
    boxes, pixels, axes = found.boxes.cpu().clone(), found.pixels, len(found.pixels)
    real = boxes.isfinite().all(0)
    if not bool(real.any()):
        return None
    first, last = boxes[:axes], -boxes[axes:]
    rules = [_rule(first[k], last[k], k if real.ndim == axes else None) for k in range(axes)]
    steps = tuple(rule[0] if rule else None for rule in rules)
    limits = torch.tensor(pixels, dtype=boxes.dtype).reshape(-1, *[1] * real.ndim)
    size = tuple(int((last - first)[k][real].max()) + 1 for k in range(axes))
    start = tuple(int(first[k][real][0]) for k in range(axes))
    status: Status = "exact" if all(rules) else "bound"
    why = "" if all(rules) else "the positions differ; this is the largest"
    if bool(((first <= 0) & (last >= limits - 1)).all()) and not any(steps):
        size, start = pixels, (0,) * axes
        status, why = "whole picture", "every position can depend on every pixel"
    for kind in sorted({doubt.kind for doubt in found.doubts}):  # "data" overrules "bound"
        status = "data dependent" if kind == "data" else "bound"
        why = "; ".join(sorted(doubt.why for doubt in found.doubts if doubt.kind == kind))
    return ReceptiveField(size, steps, start, status, why, boxes, pixels)


def _rule(first: Tensor, last: Tensor, axis: int | None) -> tuple[float | None] | None:
    """The step along an axis of the grid if the boxes follow a rule: all of one size and equally far apart."""
    if axis is None or not bool((first.isfinite() & last.isfinite()).all()):
        return None
    others = [k for k in range(first.ndim) if k != axis]
    line = first.amin(others) if others else first
    step = float(line[1] - line[0]) if len(line) > 1 else None
    shape = [-1 if k == axis else 1 for k in range(first.ndim)]
    expected = line[0] + (step or 0) * torch.arange(len(line), dtype=line.dtype).reshape(shape)
    return (
        (step,) if bool((first == expected).all()) and bool(((last - first) == (last - first).amax()).all()) else None
    )


def receptive_fields(
    model: Model, image: Tensor, grids: Mapping[Site, Grid | None]
) -> dict[Site, ReceptiveField | None]:
    """The receptive fields of some layers, by one forward pass over noise of the shape of `image`.

    Must run inside `guarded`. The answer is about the network, so it does not depend on the picture.

    Args:
        model: the network.
        image: the model's input `[batch, channel, row, column]`; only its shape counts.
        grids: the layers, and how each holds its positions; None is channels first, or no positions.

    Returns:
        None for a layer that nothing of the picture reaches.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, *image.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
    leaf = noise.to(image.device, input_type(model, image), copy=True)
    found: dict[Site, Positions | None] = {}

    def reader(site: Site, reach: Reach) -> Callable[[Tensor], Tensor]:
        def read(tensor: Tensor) -> Tensor:
            found[site] = positions(reach, tensor, grids[site])
            return tensor

        return read

    reach = Reach(leaf)
    with torch.no_grad(), Recorder(model.module, (), changes={site: reader(site, reach) for site in grids}), reach:
        forward(model, leaf, torch.zeros(1, dtype=torch.int64, device=leaf.device))
    return {site: None if places is None else receptive_field(places) for site, places in found.items()}
