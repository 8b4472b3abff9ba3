"""The random state of Python, NumPy and torch: the process's own, put back when a network has drawn from it.

Other threads draw from the same state. To put it back after they drew would give them the same numbers again, so while
there are others, only what the network drew from is put back. That is measured, once for each shape of its input: what
did not move in a pass was not drawn from, and of what moved while there were other threads, `own_draws` tells whether
this one drew. Threads that draw beside a network that draws too do see the state put back.
"""

from __future__ import annotations

import ctypes
import os
import random
import sys
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.capture.running.own_draws import OwnDraws, Source

_lock = threading.Lock()
_kept: list[RandomState] = []  # of all guards, the oldest first
_draws: weakref.WeakKeyDictionary[nn.Module, dict[Any, frozenset[Source]]] = weakref.WeakKeyDictionary()


class RandomState:
    """The state as it is now.

    Args:
        parameters: of the network; the state of the CUDA devices that they lie on is kept too.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.thread, self.alone = threading.get_ident(), _alone()
        self.drew: set[Source] = set()
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
            sources = self.before.keys() if self.alone and _alone() else self.drew
            _set({source: self.before[source] for source in sources}, self.devices)
            for other in later:  # what they found was drawn by this network, and is gone
                if other.thread != self.thread and other.devices == self.devices:
                    other.before |= {source: self.before[source] for source in sources}
            _kept.remove(self)


class Drawing:
    """Context of one pass: notices what it draws from.

    Args:
        module: the network.
        kind: of pass; what is equal draws alike.

    Attributes:
        drawn: what it draws from.
    """

    def __init__(self, module: nn.Module, kind: Any) -> None:
        self.module, self.kind, self.alone = module, kind, False
        self.drawn: frozenset[Source] = frozenset()
        self.before: dict[Source, Any] | None = None
        self.own: OwnDraws | None = None

    def __enter__(self) -> Drawing:
        known = _draws.setdefault(self.module, {})
        if self.kind in known:
            self.drawn = known[self.kind]
            note_drawing(self.drawn)
            return self
        self.alone, self.before = _alone(), state_now()
        if not self.alone and sys.getprofile() is None:
            self.own = OwnDraws()
            self.own.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self.before is None:
            return
        if self.own is not None:
            self.own.__exit__(*error)
        self.drawn = self._by_this_thread(moved_between(self.before, state_now()))
        note_drawing(self.drawn)
        if error[0] is not None:  # it may draw behind where it failed this time
            return
        certain = self.own is not None and "numpy" not in self.drawn
        if not self.drawn or certain or (self.alone and _alone()):
            _draws.setdefault(self.module, {})[self.kind] = self.drawn

    def _by_this_thread(self, moved: frozenset[Source]) -> frozenset[Source]:
        """Of what moved; torch as it was seen, as the generators of other devices are not compared."""
        if self.own is None:
            return moved
        return frozenset(source for source in self.own.seen if source == "torch" or source in moved)


def note_drawing(sources: Iterable[Source]) -> None:
    """The network that runs in this thread draws from these."""
    for kept in list(_kept):
        if kept.thread == threading.get_ident():
            kept.drew.update(sources)


@contextmanager
def drawn_apart() -> Iterator[None]:
    """What a network draws inside changes no later draw."""
    state = RandomState(())
    try:
        yield
    finally:
        state.put_back()


def draws(module: nn.Module) -> bool:
    """Whether a network was seen to draw."""
    return any(_draws.get(module, {}).values())


def may_have_drawn() -> bool:
    """Whether what moved since this thread's guards began may have been moved by the networks that it runs."""
    here = threading.get_ident()
    return _alone() or any(kept.drew for kept in list(_kept) if kept.thread == here)


def _alone() -> bool:
    return threading.active_count() == 1


def state_now(devices: Collection[torch.device] = ()) -> dict[Source, Any]:
    """Where Python, NumPy, torch on the CPU and these CUDA devices stand; compare with `moved_between`."""
    numpy = sys.modules.get("numpy")
    return {
        "python": random.getstate(),
        "numpy": numpy.random.get_state() if numpy else None,
        "torch": [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)],
    }


def moved_between(before: dict[Source, Any], now: dict[Source, Any]) -> frozenset[Source]:
    """What was drawn from between two states of the same devices."""
    moved: set[Source] = set()
    if now["python"] != before["python"]:
        moved.add("python")
    if before["numpy"] is not None and _numpy(now["numpy"]) != _numpy(before["numpy"]):
        moved.add("numpy")
    if any(map(_moved, now["torch"], before["torch"])):
        moved.add("torch")
    return frozenset(moved)


def _numpy(state: Any) -> tuple[Any, ...]:
    return (state[1].tobytes(), *state[2:])


def _moved(now: Tensor, before: Tensor) -> bool:
    return _bytes(now) != _bytes(before)


def _bytes(state: Tensor) -> bytes:
    """Read past torch, whose calls the pass that goes on may be noting down."""
    with torch._C.DisableTorchFunction():
        return ctypes.string_at(state.data_ptr(), state.numel())


def _set(state: dict[Source, Any], devices: set[torch.device]) -> None:
    if "python" in state:
        random.setstate(state["python"])
    if state.get("numpy") is not None:
        sys.modules["numpy"].random.set_state(state["numpy"])
    if "torch" in state:
        cpu, *cuda = state["torch"]
        torch.set_rng_state(cpu)
        for device, value in zip(devices, cuda, strict=True):
            torch.cuda.set_rng_state(value, device)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - a lock that another thread held stays locked for ever
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
