"""Passes that build no graph: in torch's inference mode, the fastest, where the network answers as it always does.

Networks that take gradients of their own on the way, such as energy models and those that adapt to each picture, find
no graph in inference mode, whatever they switch on. Which do is measured by `batching.conduct_of`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import nn

_other: weakref.WeakSet[nn.Module] = weakref.WeakSet()


def unrecorded(module: nn.Module) -> AbstractContextManager[None]:
    """No graph is built inside, unless a network that was seen to need one builds it itself."""
    return torch.no_grad() if module in _other else torch.inference_mode()


def note_graphs(module: nn.Module, agrees: Callable[[], bool]) -> None:
    """Remember of a network whether it answers otherwise in inference mode, in which `agrees` is asked."""
    with torch.inference_mode():
        same = agrees()
    if not same:
        _other.add(module)
