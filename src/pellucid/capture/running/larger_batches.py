"""Batches larger than those of a trial: mixing may begin there, so the first of each size is compared with two rows."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.capture.running.batching import key_of, now_known_to_mix
from pellucid.capture.running.rows import Rows, by_row, gap_between

_tried: weakref.WeakKeyDictionary[nn.Module, set[Any]] = weakref.WeakKeyDictionary()


class LargerBatches:
    """Whether passes of more rows than a trial has keep their rows apart; each size is asked about once.

    Args:
        module: the network.
        given: rows of such a pass, `[n, channel, row, column]`.
        manner: as for `conduct_of`.
        plain: likewise.
        count: of rows, if it is not that of `given`.
    """

    def __init__(
        self, module: nn.Module, given: Tensor, manner: tuple[Any, ...], *, plain: bool, count: int = 0
    ) -> None:
        self._module, self._count = module, count or len(given)
        self._key = key_of(module, given, given.dtype, manner, plain=plain)
        self._sizes = _tried.setdefault(module, set())

    @property
    def new(self) -> bool:
        """Whether nothing is known of passes of this size."""
        return (self._count, *self._key) not in self._sizes

    def note(self) -> None:
        """This size is known from here on."""
        self._sizes.add((self._count, *self._key))

    def mixes(self, ends: Rows, run: Callable[[Sequence[int]], Any]) -> bool:
        """Whether the rows influenced each other; then the network is known for it from here on.

        Args:
            ends: what the first and the last row got among all.
            run: runs the network on some rows of the pass, by number.
        """
        self.note()

        def answers(numbers: Sequence[int]) -> Rows:
            with torch.no_grad():
                return by_row(run(numbers), len(numbers))

        if gap_between(answers([0, -1]), ends) == 0:
            return False
        # a network that makes rounding large may answer otherwise in batches of another size: so this size once more
        gap = max(gap_between(answers([k] * self._count)[k:][:1], ends[k:][:1]) for k in (0, -1))
        if gap:
            now_known_to_mix(self._module, self._key, gap)
        return gap > 0
