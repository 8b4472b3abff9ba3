"""Passes that are known to hold no activation written by hand, so that the next one like them need not be followed.

What is remembered, once per network and shape of its input, is the calls of a pass with their settings. A later pass is
taken for the same as long as its calls are the same; from the first other one on it is followed again.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.capture.operators import Call

_SETTINGS = (bool, int, float, str, type(None), torch.dtype)
_SHAPES = 8
"""Shapes that are remembered for one network."""
_Signature = tuple[Any, ...]
_known: weakref.WeakKeyDictionary[nn.Module, dict[_Signature, tuple[_Signature, ...]]] = weakref.WeakKeyDictionary()


class Familiar:
    """Compares the calls of one pass of a network over `rows` with those of an earlier one."""

    def __init__(self, module: nn.Module, rows: Tensor) -> None:
        self._module = module
        self._key = (*rows.shape, rows.dtype)
        self._calls: list[_Signature] = []
        self._before = _known.get(module, {}).get(self._key, ())
        self._same = True

    def has(self, call: Call) -> bool:
        """Whether this call and all before it are those of the earlier pass."""
        func, args, kwargs = call
        signature = (func, *(arg for arg in (*args, *kwargs.values()) if isinstance(arg, _SETTINGS)))
        place = len(self._calls)
        self._calls.append(signature)
        self._same = self._same and place < len(self._before) and self._before[place] == signature
        return self._same

    def remember(self) -> None:
        """Nothing by hand was found in this pass."""
        if self._same:
            return
        shapes = _known.setdefault(self._module, {})
        if len(shapes) >= _SHAPES:
            shapes.clear()
        shapes[self._key] = tuple(self._calls)
