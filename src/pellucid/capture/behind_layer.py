"""Questions behind a layer: what a network says to variants of its activation there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.layers import footprint, measured
from pellucid.capture.meter import ProgressMeter
from pellucid.capture.passes import read_grid
from pellucid.capture.reading import folded, joined
from pellucid.capture.running import Budget, Recorder, feed, forward, input_type, is_out_of_memory, unrecorded
from pellucid.capture.together import Read
from pellucid.contracts import Grid, Maps, Model, Perturbation, Site
from pellucid.errors import Refused

_BYTES = 2**30
"""Memory for variants of one activation: the rest of a network is cheap, and each chunk pays for the front again."""


@dataclass(frozen=True)
class _Picture:
    """One picture as it is.

    Attributes:
        number: in the batch.
        score: of all targets `[1, target]`.
        grid: how its values at the layer are read.
    """

    number: int
    score: Tensor
    grid: Grid


@dataclass(frozen=True)
class BehindLayer:
    """One question: the scores of `count` variants of each picture's activation at a layer.

    Attributes:
        model: the network, inside `guarded`.
        image: the model's input `[batch, channel, *axes]`.
        site: the layer.
        count: variants per picture.
        change: makes them from copies of the activation, channels first.
        budget: how many rows fit at once.
        meter: told of progress.
        read: gives the scores of rows of an output for all targets, and counts them.
        alone: whether the network is given one row at a time.
    """

    model: Model
    image: Maps
    site: Site
    count: int
    change: Perturbation
    budget: Budget
    meter: ProgressMeter
    read: Callable[[Any, Tensor], Read]
    alone: bool

    def ask(self) -> Read:
        """Scores `[batch, count, target]` and top classes `[batch, count]`, if there are any.

        Raises:
            Refused: the unchanged activation does not give the picture's own score.
        """
        chunks = list[Read]()
        for k in range(len(self.image)):
            picture, values = self._as_it_is(k)
            found = footprint(self.model, self.image)
            behind = 2 * found.largest_behind(self.model.module.get_submodule(self.site.path))

            def run(start: int, stop: int, picture: _Picture = picture) -> Read:
                return self._chunk(picture, torch.arange(start, stop, device=self.image.device), start)

            most = max(1, (_BYTES - 4 * found.largest) // (values.nbytes + behind))
            chunks += self.budget.chunks(self.count, 2 * values.nbytes, run, most=most)
        return joined(chunks, lambda flat: folded(flat, len(self.image)))

    def _as_it_is(self, k: int) -> tuple[_Picture, Tensor]:
        """One picture, and its values at the layer in the layer's own layout."""
        image, sample = self.image[k : k + 1], torch.tensor([k], device=self.image.device)
        given = feed(self.model, image)
        module = self.model.module
        with measured(self.model, self.image), unrecorded(module), Recorder(module, [self.site]) as tape:
            output = forward(self.model, given, sample)
        score, _ = self.read(output, sample)
        values = tape.taps[self.site].value
        return _Picture(k, score, read_grid(self.model, self.site, values, image)), values

    def _chunk(self, picture: _Picture, numbers: Tensor, start: int) -> Read:
        """The scores of the variants of these `numbers`, the first of which is `start`."""
        if self.alone:
            return self._one_by_one(picture, numbers, start)
        try:
            score, top = self._changed(picture, numbers, repeats=1)
            starts_late = self._agrees(score, picture, len(numbers) + 1)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            starts_late = False
        if not starts_late:
            return self._in_full(picture, numbers, start)
        self._tick(picture, start + len(numbers))
        return score[1:], None if top is None else top[1:]

    def _in_full(self, picture: _Picture, numbers: Tensor, start: int) -> Read:
        """As `_chunk`, but the whole network runs on every variant, so fewer fit at once."""
        rows = self.budget.rows(4 * footprint(self.model, self.image).largest + 4 * self.image[0].nbytes)
        parts, done = list[Read](), start
        for some in torch.split(numbers, max(1, rows - 1)):
            score, top = self._changed(picture, some, repeats=len(some) + 1)
            self._check(score, picture, len(some) + 1)
            parts.append((score[1:], None if top is None else top[1:]))
            done += len(some)
            self._tick(picture, done)
        return joined(parts)

    def _one_by_one(self, picture: _Picture, numbers: Tensor, start: int) -> Read:
        """As `_chunk`, for networks that take a single row: the unchanged activation has a pass of its own."""
        if start == 0:
            score, _ = self._changed(picture, numbers[:0], repeats=1)
            self._check(score, picture, 1)
        parts = [self._changed(picture, some, repeats=0) for some in torch.split(numbers, 1)]
        self._tick(picture, start + len(numbers))
        return joined(parts)

    def _tick(self, picture: _Picture, done: int) -> None:
        """Tell how many variants of a picture are done; all of those before it are."""
        self.meter.tick(picture.number * self.count + done, len(self.image) * self.count)

    def _changed(self, picture: _Picture, numbers: Tensor, *, repeats: int) -> Read:
        """Score the activation as it is and its variants, beginning with so many copies of the picture.

        Without a copy, the picture itself only leads to the layer, where its one variant takes its place.
        """
        first, k = min(repeats, 1), picture.number
        samples = torch.full((len(numbers) + first,), k, device=self.image.device)
        given = feed(self.model, self.image[k : k + 1].repeat(max(repeats, 1), *[1] * (self.image.ndim - 1)))
        swap = _swap(picture.grid, samples[first:], numbers, self.change)
        changes = {self.site: lambda t: swap(t)[1 - first :]}
        with unrecorded(self.model.module), Recorder(self.model.module, (), changes=changes):
            output = forward(self.model, given, samples[: max(repeats, 1)])
        return self.read(output, samples)

    def _agrees(self, score: Tensor, picture: _Picture, rows: int) -> bool:
        """Whether there is one score for each row, and the first row's is that of the picture alone."""
        # sqrt(eps): more than another batch size changes in the last digits, far less than a mixed batch changes
        tolerance = torch.finfo(input_type(self.model, self.image)).eps ** 0.5 * score.abs().amax(0)
        return len(score) == rows and bool(((score[0] - picture.score[0]).abs() <= tolerance).all())

    def _check(self, score: Tensor, picture: _Picture, rows: int) -> None:
        """Refuse where the unchanged activation does not give the picture's own score."""
        if self._agrees(score, picture, rows):
            return
        raise Refused(
            f"{self.model.name} gave {float(score[0, 0]):.6g} for the unchanged activation at '{self.site}' in a batch "
            f"of {rows}, but {float(picture.score[0, 0]):.6g} for the picture alone. Its answers depend on the rest of "
            "the batch."
        )


def _swap(grid: Grid, samples: Tensor, numbers: Tensor, change: Perturbation) -> Callable[[Tensor], Tensor]:
    """Replaces an activation by a batch: itself first, then its variants."""

    def swap(tensor: Tensor) -> Tensor:
        maps = _copies(grid.to_maps(tensor[:1]), len(numbers) + 1)
        changed = change(maps[1:], samples, numbers) if len(numbers) else maps[1:]
        if changed.data_ptr() != maps[1:].data_ptr():
            maps[1:] = changed
        return grid.from_maps(maps, tensor[:1])

    return swap


def _copies(maps: Maps, count: int) -> Maps:
    """One row as many, in the same order of memory; `Tensor.repeat` loses that and takes thrice as long."""
    last = maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous()
    order = torch.channels_last if last else torch.contiguous_format
    rows = torch.empty(count, *maps.shape[1:], dtype=maps.dtype, device=maps.device, memory_format=order)
    return rows.copy_(maps)
