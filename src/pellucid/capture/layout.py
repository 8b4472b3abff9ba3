"""Channels last: the order of memory in which CPUs run convolutions a quarter to a third faster.

The numbers are the same but for rounding, except in networks that look at strides (`view` fails, `as_strided` reads
something else). So it is tried once per model on noise, and used only if the answer agrees.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.capture.walk import walk
from pellucid.targets import leaves

_known: weakref.WeakKeyDictionary[nn.Module, tuple[Any, bool]] = weakref.WeakKeyDictionary()


def may_be_last(
    module: nn.Module, image: Tensor, kind: torch.dtype, manner: tuple[Any, ...], run: Callable[[Tensor], Any]
) -> bool:
    """Whether the network gives the same answers for inputs of this shape when their memory is channels last.

    Args:
        module: the network.
        image: what it is to be given, `[batch, channel, row, column]`.
        kind: in which number type.
        manner: how it is run; what was found holds for runs of equal manner.
        run: runs it on a batch of one.
    """
    key = (*image.shape[1:], kind, *manner, *map(id, walk(module)))
    known = _known.get(module)
    if known is None or known[0] != key:
        known = _known[module] = (key, _agrees(module, image.shape, kind, run))
    return known[1]


def _agrees(module: nn.Module, shape: torch.Size, kind: torch.dtype, run: Callable[[Tensor], Any]) -> bool:
    if not any(isinstance(part, nn.Conv2d) for part in walk(module)):
        return False
    generator = torch.Generator("cpu").manual_seed(0)
    noise = torch.randn(1, *shape[1:], generator=generator, dtype=torch.float32, device="cpu").to(kind)
    with torch.no_grad():
        plain = list(leaves(run(noise.clone())))
        try:
            last = list(leaves(run(noise.to(memory_format=torch.channels_last, copy=True))))
        except Exception:  # noqa: BLE001 - whatever a network does when strides are new to it
            return False
    return bool(plain) and len(plain) == len(last) and all(map(close, plain, last))


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two outputs agree but for rounding, which is more than another batch size or order of memory changes."""
    if a.shape != b.shape or a.dtype != b.dtype or not a.is_floating_point():
        return False
    tolerance = torch.finfo(a.dtype).eps ** 0.5 * a.abs().amax() if a.numel() else 0
    return bool(a.isfinite().all()) and bool(((a - b).abs() <= tolerance).all())
