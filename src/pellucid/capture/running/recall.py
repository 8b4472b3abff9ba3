"""Snapshots of networks that are explained again and again: kept from call to call, compared instead of taken anew.

A network mostly comes back as it was left. To see that it did takes comparisons that run in C, at half the cost of a
new snapshot. Kept is only what says all there is to say: no hooks, gradients or objects of the network's own, and
nothing that may lead back to the network and keep it alive. Copies of buffers are compared byte by byte, as they are
what would be put back.
"""

from __future__ import annotations

import ctypes
import types
import weakref
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.capture.running.contents import PLAIN
from pellucid.capture.running.snapshot import Snapshot

_MOST = 2**24
"""Bytes of buffers that are kept a second time, to be compared with."""
_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType)
_kept: weakref.WeakKeyDictionary[nn.Module, Recalled] = weakref.WeakKeyDictionary()


class Recalled:
    """A snapshot without its root, which it would keep alive.

    Attributes:
        snapshot: as it was when the network was last put back.
        parts: all modules below the root, in the order of `walk`.
        memory: of its buffers; to be read only once `watch_again` has found them where they were.
        bytes: what stood there.
        ids: numbers of all modules, the root's too.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot, self.parts = snapshot, snapshot.parts[1:]
        self.ids = frozenset(map(id, snapshot.parts))
        self.memory = [(ctypes.c_char * t.nbytes).from_address(t.data_ptr()) for t in snapshot.tensors if t.nbytes]
        self.bytes = [memory.raw for memory in self.memory]
        snapshot.parts = []

    def take_again(self, module: nn.Module) -> Snapshot | None:
        """The snapshot as of now; None if anything but numbers has changed since, or the buffers have."""
        snapshot = self.snapshot
        if not snapshot.watch_again() or [memory.raw for memory in self.memory] != self.bytes:
            return None
        snapshot.parts = [module, *self.parts]
        return snapshot


def recall(module: nn.Module) -> Recalled | None:
    """What is kept of a network; it is the caller's from now on."""
    return _kept.pop(module, None)


def keep(module: nn.Module, snapshot: Snapshot, known: Recalled | None) -> None:
    """Keep a snapshot for the next call, after everything was put back, where that is possible.

    Args:
        module: the network.
        snapshot: that was put back.
        known: what it was recalled from, if it was.
    """
    if not snapshot.untouched:
        return
    if known is not None and known.snapshot is snapshot:
        snapshot.parts = []
        _kept[module] = known
    elif _may_stay(module, snapshot):
        _kept[module] = Recalled(snapshot)


def _may_stay(module: nn.Module, snapshot: Snapshot) -> bool:
    tensors = snapshot.tensors
    return (
        snapshot.parts[:1] == [module]
        and snapshot.contents.is_empty
        and not snapshot.has_inference_tensors
        and not any(grad is not None for grad in snapshot.grads)
        and all(value is None or isinstance(value, Tensor | nn.Module) for value in snapshot.values)  # no hooks
        and not any(value is module for value in snapshot.values)
        and all(t.is_cpu and t.layout is torch.strided and t.is_contiguous() for t in tensors)
        and sum(t.nbytes for t in tensors) <= _MOST
        and all(map(_leads_nowhere, snapshot.own))
    )


def _leads_nowhere(value: Any) -> bool:
    """Whether a value of an attribute holds nothing that could hold the network."""
    if isinstance(value, tuple):
        return all(map(_leads_nowhere, value))
    if isinstance(value, types.FunctionType):
        return value.__closure__ is None
    return type(value) in PLAIN and not isinstance(value, _FUNCTIONS)
