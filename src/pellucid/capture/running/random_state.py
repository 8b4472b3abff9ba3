"""The random state of Python, NumPy and torch: the process's own, put back when a network has drawn from it.

Other threads draw from the same state. To put it back after they drew would give them the same numbers again, so while
there are others, it is put back only after a network that draws. That is measured, once for each shape of its input: a
pass during which nothing moved drew nothing, and what moved while there was one thread was drawn by the network. Where
neither is seen, the network counts as drawing; threads that draw beside such a one do see the state put back.
"""

from __future__ import annotations

import ctypes
import os
import random
import sys
import threading
import weakref
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_lock = threading.Lock()
_kept: list[RandomState] = []  # of all guards, the oldest first
_draws: weakref.WeakKeyDictionary[nn.Module, dict[Any, bool]] = weakref.WeakKeyDictionary()


class RandomState:
    """The state as it is now.

    Args:
        parameters: of the network; the state of the CUDA devices that they lie on is kept too.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.thread, self.alone, self.drew = threading.get_ident(), _alone(), False
        self.devices = {p.device for p in parameters if p.is_cuda}
        self.before = state_now(self.devices)
        with _lock:
            _kept.append(self)

    def put_back(self) -> None:
        """As it was, unless only others can have changed it."""
        with _lock:
            if self not in _kept:
                return
            later = _kept[_kept.index(self) + 1 :]
            if self.drew or (self.alone and _alone()):
                _set(self.before, self.devices)
                for other in later:  # what they found was drawn by this network, and is gone
                    if other.thread != self.thread and other.devices == self.devices:
                        other.before = self.before
            _kept.remove(self)


class Drawing:
    """Context of one pass: notices whether it draws.

    Args:
        module: the network.
        kind: of pass; what is equal draws alike.
    """

    def __init__(self, module: nn.Module, kind: Any) -> None:
        self.module, self.kind, self.alone = module, kind, False
        self.before: tuple[Any, ...] | None = None

    def __enter__(self) -> None:
        known = _draws.setdefault(self.module, {})
        if self.kind not in known:
            self.alone, self.before = _alone(), state_now()
        elif known[self.kind]:
            _note_drawing()

    def __exit__(self, *_: object) -> None:
        if self.before is None:
            return
        moved = not same(state_now(), self.before)
        if moved:
            _note_drawing()
        if not moved or (self.alone and _alone()):
            _draws.setdefault(self.module, {})[self.kind] = moved


def _note_drawing() -> None:
    for kept in list(_kept):
        kept.drew |= kept.thread == threading.get_ident()


def _alone() -> bool:
    return threading.active_count() == 1


def state_now(devices: Collection[torch.device] = ()) -> tuple[Any, ...]:
    """Where Python, NumPy, torch on the CPU and these CUDA devices stand; compare with `same`."""
    numpy = sys.modules.get("numpy")
    return (
        random.getstate(),
        numpy.random.get_state() if numpy else None,
        torch.get_rng_state(),
        [torch.cuda.get_rng_state(device) for device in devices],
    )


def same(now: tuple[Any, ...], before: tuple[Any, ...]) -> bool:
    """Whether nothing was drawn between two states of the same devices."""
    if now[0] != before[0] or any(map(_moved, (now[2], *now[3]), (before[2], *before[3]))):
        return False
    return now[1] is None or (now[1][2:] == before[1][2:] and now[1][1].tobytes() == before[1][1].tobytes())


def _moved(now: Tensor, before: Tensor) -> bool:
    return _bytes(now) != _bytes(before)


def _bytes(state: Tensor) -> bytes:
    """Read past torch, whose calls the pass that goes on may be noting down."""
    with torch._C.DisableTorchFunction():
        return ctypes.string_at(state.data_ptr(), state.numel())


def _set(state: tuple[Any, ...], devices: set[torch.device]) -> None:
    python, numpy, cpu, cuda = state
    random.setstate(python)
    if numpy is not None:
        sys.modules["numpy"].random.set_state(numpy)
    torch.set_rng_state(cpu)
    for device, value in zip(devices, cuda, strict=True):
        torch.cuda.set_rng_state(value, device)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - a lock that another thread held stays locked for ever
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
