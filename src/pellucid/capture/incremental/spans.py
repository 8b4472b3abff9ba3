"""Which places along an axis of a map differ from the unchanged input's, for every variant of a pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Interval:
    """One axis: variant i differs in `start[i]..stop[i]` of `0..length`, and holds `first[i]..first[i] + size`.

    All variants of a pass hold boxes of one size, so that they are one tensor; what they hold beyond what differs is
    the unchanged input's.
    """

    start: Places
    stop: Places
    length: int
    placed: Places | None = None

    @classmethod
    def whole(cls, count: int, length: int) -> Interval:
        """All of the axis."""
        return cls(np.zeros(count, np.int64), np.full(count, length, np.int64), length)

    @cached_property
    def size(self) -> int:
        """Places held for each variant, at least one."""
        return max(1, int((self.stop - self.start).max(initial=1)))

    @cached_property
    def first(self) -> Places:
        """First place held: where it was `placed`, or where it fits."""
        if self.placed is not None:
            return self.placed
        first: Places = np.clip(self.start, 0, self.length - self.size)
        return first

    @property
    def is_whole(self) -> bool:
        """Whether everything is held."""
        return self.size == self.length

    def sizes(self) -> Places:
        """How many places of each variant differ."""
        found: Places = np.maximum(self.stop - self.start, 0)
        return found


@dataclass(frozen=True)
class Slide:
    """How a kernel moves along an axis; `before` is the padding in front, `length` that of the result."""

    kernel: int
    stride: int
    before: int
    length: int

    def through(self, span: Interval) -> Interval:
        """Where the result differs: wherever the kernel touches what differs."""
        start = -((self.kernel - 1 - self.before - span.start) // self.stride)
        stop = (span.stop - 1 + self.before) // self.stride + 1
        empty = span.stop <= span.start
        start = np.clip(start, 0, self.length)
        stop = np.clip(stop, 0, self.length)
        return Interval(np.where(empty, 0, start), np.where(empty, 0, np.maximum(start, stop)), self.length)

    def needs(self, held: int) -> int:
        """Places of the input, padding included, behind `held` places of the result."""
        return (held - 1) * self.stride + self.kernel


@dataclass(frozen=True)
class Stretch:
    """An axis stretched by a whole number; each result looks at inputs up to `reach` away."""

    factor: int
    reach: int

    def through(self, span: Interval) -> Interval:
        """Where the result differs."""
        length = span.length * self.factor
        start = np.clip((span.start - self.reach) * self.factor, 0, length)
        stop = np.clip((span.stop + self.reach) * self.factor, 0, length)
        return Interval(start, np.where(span.stop > span.start, stop, start), length)


@dataclass(frozen=True)
class Shift:
    """An axis with `before` places put in front; `length` is that of the result."""

    before: int
    length: int

    def through(self, span: Interval) -> Interval:
        """Where the result differs."""
        return Interval(span.start + self.before, span.stop + self.before, self.length, span.first + self.before)


@dataclass(frozen=True)
class Spread:
    """How a transposed kernel moves along an axis; `before` places are cut off in front, `length` is the result's."""

    kernel: int
    stride: int
    before: int
    length: int

    def through(self, span: Interval) -> Interval:
        """Where the result differs."""
        start = np.clip(span.start * self.stride - self.before, 0, self.length)
        stop = np.clip((span.stop - 1) * self.stride - self.before + self.kernel, 0, self.length)
        empty = span.stop <= span.start
        return Interval(np.where(empty, 0, start), np.where(empty, 0, np.maximum(start, stop)), self.length)

    @property
    def reach(self) -> int:
        """Places of the result that belong to one of the input; where a kernel is shorter than its steps, gaps too."""
        return max(self.kernel, self.stride)

    def seen(self, first: Places) -> Places:
        """The first place of the input that these of the result belong to."""
        found: Places = -((self.reach - 1 - self.before - first) // self.stride)
        return found

    def needs(self, held: int) -> int:
        """Places of the input behind `held` places of the result, wherever these begin, and one more.

        The last places of the result may belong to none.
        """
        return (held + self.reach - 2) // self.stride + 2


Motion: TypeAlias = Slide | Stretch | Shift | Spread
Spans: TypeAlias = tuple[Interval, ...]
"""Boxes: an interval for each spatial axis."""


def union(spans: Sequence[Interval]) -> Interval:
    """The smallest spans that hold all the given ones, variant by variant."""
    if len(spans) == 1:
        return spans[0]
    far = spans[0].length
    start = np.min([np.where(s.stop > s.start, s.start, far) for s in spans], 0)
    stop = np.max([np.where(s.stop > s.start, s.stop, 0) for s in spans], 0)
    empty = stop <= start
    return Interval(np.where(empty, 0, start), np.where(empty, 0, stop), far)
