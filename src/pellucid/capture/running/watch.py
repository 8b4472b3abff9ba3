"""Whether tensors were written to, told without a copy of them.

Three signs, each cheap: torch's count of in-place operations, the place in memory, and a few numbers. The count misses
what is written through `.data` or by other libraries; a few numbers, strided over the tensor, see what changes most of
it. `thorough` compares every byte instead, for tests.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor

_FEW = 3
"""Numbers of each tensor that are looked at."""
_MANY = 64
"""Networks and their gradients that are remembered."""
_RAW = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64, 16: ctypes.c_uint64}
_data_ptr = Tensor.data_ptr
"""Looked up once, as that takes as long as the call."""
_thorough = False


@contextmanager
def thorough() -> Iterator[None]:
    """Let every `Watch` that begins inside compare all bytes; for tests and `pellucid doctor`."""
    global _thorough  # noqa: PLW0603 - a test's setting of the whole process
    before, _thorough = _thorough, True
    try:
        yield
    finally:
        _thorough = before


class Watch:
    """Some tensors as they are now."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors
        self.versions = _versions(tensors)
        self.places = _places(tensors)
        self.cells, self.owners = _cells(tensors, self.places)
        self.few = [cell.value for cell in self.cells]
        self.sizes = _sizes(tensors)
        self.bytes = [_bytes(tensor) for tensor in tensors] if _thorough else None

    def begin_again(self) -> bool:
        """Watch from now on, if all lie where they lay and end where they ended; returns whether they do.

        As what is read beside torch must not lie behind the end of a tensor that has become smaller.
        """
        if self.bytes is not None or _thorough or _places(self.tensors) != self.places or self.inference:
            return False
        if _sizes(self.tensors) != self.sizes:
            return False
        self.versions = _versions(self.tensors)
        self.few = [cell.value for cell in self.cells]
        return True

    @property
    def inference(self) -> bool:
        """Whether some were made in inference mode."""
        return -1 in self.versions

    def changed(self) -> list[int]:
        """The numbers of those that were written to since."""
        versions, places = _versions(self.tensors), _places(self.tensors)
        if versions != self.versions or places != self.places or self.bytes is not None:
            return self._compared(versions, places)
        return [] if [cell.value for cell in self.cells] == self.few else self._compared(versions, places)

    def _compared(self, versions: Sequence[int], places: Sequence[int]) -> list[int]:
        moved = {k for k, (now, then) in enumerate(zip(places, self.places, strict=True)) if now != then}
        found = moved | {k for k, (now, then) in enumerate(zip(versions, self.versions, strict=True)) if now != then}
        for cell, owner, then in zip(self.cells, self.owners, self.few, strict=True):
            if owner not in moved and cell.value != then:  # the memory of one that moved may be gone
                found.add(owner)
        if self.bytes is not None:
            found |= {k for k, before in enumerate(self.bytes) if _bytes(self.tensors[k]) != before}
        return sorted(found)


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    """How often each tensor was written to; -1 for inference tensors, which do not count."""
    try:
        return [t._version for t in tensors]
    except RuntimeError:
        return [-1 if t.is_inference() else t._version for t in tensors]


def _places(tensors: Sequence[Tensor]) -> list[int]:
    """Where in memory each lies; 0 for those that have no one place, such as sparse ones."""
    try:
        return list(map(_data_ptr, tensors))
    except RuntimeError:
        return [_place(t) for t in tensors]


def _place(tensor: Tensor) -> int:
    try:
        return tensor.data_ptr()
    except RuntimeError:
        return 0


def _sizes(tensors: Sequence[Tensor]) -> list[int]:
    """Bytes that the numbers of each take; 0 of those that do not say."""
    try:
        return [t.nbytes for t in tensors]
    except RuntimeError:
        return [_size(t) for t in tensors]


def _size(tensor: Tensor) -> int:
    try:
        return tensor.nbytes
    except RuntimeError:
        return 0


_known: dict[tuple[int, ...], tuple[list[Any], list[int]]] = {}


def _cells(tensors: Sequence[Tensor], places: list[int]) -> tuple[list[Any], list[int]]:
    """A few numbers of each tensor as they lie in memory, and whose each is; to ask torch would cost ten times as much.

    Remembered, as the parameters of a network stay where they are: by all that says where their memory ends.
    """
    ends = [t.numel() for t in tensors], [t.element_size() for t in tensors], [t.is_contiguous() for t in tensors]
    key = (*places, *chain.from_iterable(ends))
    if key not in _known:
        if len(_known) >= _MANY:
            _known.clear()
        _known[key] = _new_cells(tensors, places)
    return _known[key]


def _new_cells(tensors: Sequence[Tensor], places: Sequence[int]) -> tuple[list[Any], list[int]]:
    cells: list[Any] = []
    owners: list[int] = []
    for owner, (tensor, place) in enumerate(zip(tensors, places, strict=True)):
        size = tensor.element_size()
        step = -(-_extent(tensor) // _FEW) * size
        if place and step:
            few = [_RAW[size].from_address(place + number * step) for number in range(_extent(tensor) * size // step)]
            cells += few
            owners += [owner] * len(few)
    return cells, owners


def _extent(tensor: Tensor) -> int:
    """How many numbers lie in the main memory from a tensor's place on: of one that is expanded, few."""
    if not tensor.is_cpu or tensor.layout is not torch.strided:
        return 0
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return min(tensor.numel(), 1 + sum((count - 1) * step for count, step in steps))


def _bytes(tensor: Tensor) -> bytes:
    try:
        return bytes(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    except RuntimeError:  # no plain numbers: sparse, quantised, without memory
        return b""
