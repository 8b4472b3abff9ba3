"""The scores of all variants of a picture that differ from it in one box each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from pellucid.capture.incremental.grouping import group, sizes
from pellucid.capture.incremental.passes import IncrementalPass, PassCache, ordinary
from pellucid.capture.incremental.spans import Interval, Places
from pellucid.capture.incremental.value import NotLocal
from pellucid.capture.running import (
    Budget,
    feed,
    forward,
    goes_last,
    input_type,
    is_first_of_size,
    is_out_of_memory,
    unrecorded,
)
from pellucid.contracts import LocalPerturbation, Maps, Model, VariantScores
from pellucid.errors import PellucidError
from pellucid.numerics import crops

Answer: TypeAlias = tuple[Tensor, Tensor | None]
Read: TypeAlias = Callable[[Any, Tensor], Answer]
"""Scores `[n]` or `[n, target]`, and top classes `[n]`, from an output and the pictures that its rows belong to."""

_VOLUME = 5
"""Axes of a batch of volumes."""
_CHECKED = (slice(None), slice(-1, None))
"""Rows of the first passes that are compared with whole ones: the second is the first to use what another one kept."""
_KEPT = 3 * 2**26
"""Bytes of an input's unchanged values that are kept from pass to pass."""
_KEPT_OF_VOLUMES = 3 * 2**29
"""The same for volumes, if that is no more than a quarter of the free memory: r3d_18 has 0.3 GiB of them at 64 voxels a
side and 1 GiB at 96. With less of them kept, every pass computes the rest again, which takes as long as its boxes."""


@dataclass
class Incremental:
    """Scores variants box by box.

    Args:
        model: the network.
        image: the inputs `[batch, channel, *axes]`.
        change: what becomes of them.
        read: reads a network's output.
        budget: how many variants at once.
        fast: carry out heavy convolutions in bfloat16.
        memo: what the passes over one picture share.
        checked: passes that were compared with whole ones.
        deviation: the largest difference of scores that was seen there, when fast.
    """

    model: Model
    image: Maps
    change: LocalPerturbation
    read: Read
    budget: Budget
    fast: bool = False
    memo: PassCache = field(default_factory=lambda: PassCache(_KEPT))
    checked: int = 0
    deviation: float = 0.0

    def answers(self, k: int) -> Iterator[tuple[Tensor, Answer]]:
        """Variants of picture `k`: their numbers and answers, group by group.

        Raises:
            NotLocal: the network does what cannot be followed box by box.
        """
        self.memo = PassCache(self._kept(), self.memo.kernels)
        picture = feed(self.model, self.image[k : k + 1])
        given = self.change.boxes
        boxes = (given if given.ndim == 2 else given[k]).cpu().numpy().astype(np.int64)
        middle = len(boxes) // 2
        yield self._pass(k, picture, boxes, np.array([middle]), writes_log=True)
        rest = np.delete(np.arange(len(boxes)), middle)
        size = self.image.shape[2:]
        for part in group(self.memo.log, boxes[rest], size) if len(rest) else []:
            numbers = rest[part]

            def run(start: int, stop: int, numbers: Places = numbers) -> tuple[Tensor, Answer]:
                return self._pass(k, picture, boxes, numbers[start:stop])

            yield from self.budget.chunks(len(numbers), self._row_bytes(boxes[numbers], size), run)

    def _kept(self) -> int:
        if self.image.ndim < _VOLUME:
            return _KEPT
        return max(_KEPT, min(_KEPT_OF_VOLUMES, self.budget.free() // 4))

    def _row_bytes(self, boxes: Places, size: Sequence[int]) -> int:
        sides = [
            sizes(self.memo.log, k, boxes[:, k], boxes[:, k + len(size)], length).max(1)
            for k, length in enumerate(size)
        ]
        depth = np.array([entry.bytes for entry in self.memo.log])
        return 4 * int((math.prod(sides) * depth).max())

    def _pass(
        self, k: int, picture: Tensor, boxes: Places, numbers: Places, *, writes_log: bool = False
    ) -> tuple[Tensor, Answer]:
        asked, lengths = len(numbers), self.image.shape[2:]
        # in a pass of one row, a tensor with a value of its own for every variant would look like a constant
        numbers = numbers.repeat(2) if asked == 1 else numbers
        starts, stops = boxes[numbers, : len(lengths)].T, boxes[numbers, len(lengths) :].T
        spans = tuple(map(Interval, starts, stops, lengths))
        which = torch.from_numpy(numbers).to(self.image.device)
        samples = torch.full_like(which, k)
        corners = torch.from_numpy(np.stack([span.first for span in spans], 1)).to(self.image.device)
        parts = crops(self.image, samples, corners, tuple(span.size for span in spans))
        parts = self.change.paint(parts, samples, which, corners).to(picture.dtype)
        last = goes_last(self.model, self.image)
        if last:
            parts = parts.contiguous(memory_format=torch.channels_last)
        with unrecorded(self.model.module):
            run = IncrementalPass(self.memo, writes_log=writes_log, fast=self.fast, last=last)
            given = run.begin(picture, parts, spans)
            try:
                output = tree_map(ordinary, forward(self.model, given, samples))
            except Exception as error:
                if asked == 1 and is_out_of_memory(error):
                    raise NotLocal("there is no memory for two variants at once") from error
                raise
        if self.checked < len(_CHECKED):
            self._check(output, which, samples, _CHECKED[self.checked])
        elif is_first_of_size(self.model, picture, len(numbers)):  # rows may influence each other in larger batches
            self._check(output, which, samples, _CHECKED[-1])
        score, top = self.read(output, samples)
        return which[:asked], (score[:asked], None if top is None else top[:asked])

    def whole(self, which: Tensor, samples: Tensor) -> Any:
        """The network's output for some variants by a whole pass."""
        rows = feed(self.model, self.change(self.image[samples], samples, which))
        with unrecorded(self.model.module):
            return forward(self.model, rows, samples)

    def _check(self, output: Any, which: Tensor, samples: Tensor, rows: slice) -> None:
        """Compare with a whole pass: whatever a rule may have overlooked must not go unseen."""
        expected = self.whole(which[rows], samples[rows])
        got, wanted = ([t for t in tree_leaves(o) if isinstance(t, Tensor)] for o in (output, expected))
        if wanted:
            got = [t[rows] if t.ndim else t for t in got]
        else:  # an object of the network's own
            got, wanted = [self.read(output, samples)[0][rows]], [self.read(expected, samples[rows])[0]]
        if len(got) != len(wanted) or not all(map(self._close, got, wanted)):
            raise NotLocal("the answers differ from those of a whole pass")
        self.checked += 1
        if self.fast:
            off = self.read(output, samples)[0][rows] - self.read(expected, samples[rows])[0]
            self.deviation = max(self.deviation, float(off.abs().max()))

    def _close(self, got: Tensor, expected: Tensor) -> bool:
        if got.shape != expected.shape:
            return False
        if not expected.is_floating_point() or not expected.numel():
            return True
        # sqrt(eps): more than another order of sums changes in the last digits, far less than a wrong rule does
        tolerance = torch.finfo(torch.bfloat16 if self.fast else expected.dtype).eps ** 0.5 * expected.abs().amax()
        return bool(((got - expected).abs() <= tolerance).all())


def has_short_floats(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in checks)


def incremental(
    model: Model,
    image: Maps,
    change: LocalPerturbation,
    read: Read,
    budget: Budget,
    tick: Callable[[int], None],
    *,
    fast: bool = False,
) -> VariantScores | None:
    """The answers to all variants; None where the network cannot be followed.

    Args:
        model: the network.
        image: the pictures.
        change: what becomes of them; at least one variant.
        read: reads a network's output.
        budget: how many variants at once.
        tick: told how many variants are done.
        fast: carry out heavy convolutions in bfloat16 where the device can, and measure what that changes.
    """
    fast = fast and has_short_floats(image.device) and input_type(model, image) == torch.float32
    engine, done = Incremental(model, image, change, read, budget, fast), 0
    score = top = None
    try:
        for k in range(len(image)):
            for numbers, (scores, tops) in engine.answers(k):
                if score is None:
                    score = scores.new_empty(len(image), change.boxes.shape[-2], *scores.shape[1:])
                    top = None if tops is None else tops.new_empty(score.shape[:2])
                score[k, numbers] = scores
                if top is not None and tops is not None:
                    top[k, numbers] = tops
                done += len(numbers)
                tick(done)
    except NotLocal:
        return None
    except Exception as error:  # whatever a network says to such values; what is its own fault, whole passes meet too
        if is_out_of_memory(error) or isinstance(error, PellucidError):
            raise
        return None
    if score is None:
        return None
    return VariantScores(score, top, engine.deviation if engine.fast else None)
