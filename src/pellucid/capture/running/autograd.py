"""The backward pass through a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.operators import nodes

_BATCH_NORM = "NativeBatchNormBackward"


def gradients(result: Tensor, ends: Sequence[Any], start: Tensor | None = None, **how: Any) -> tuple[Any, ...]:
    """`torch.autograd.grad`, guarded against a fault of batch norm on CPUs.

    Where an axis has one entry, as with a batch of one, strides do not tell in which order a tensor lies in memory.
    torch's kernel then takes a gradient whose channels come last for one whose channels come first, and gives wrong
    numbers without a word: for batch norm behind which rows of tokens begin, and for instance norm.
    """
    if result.device.type == "cpu":
        for node in nodes(result):
            if node.name().startswith(_BATCH_NORM) and _may_be_misread(node):
                node.register_prehook(_channels_first)
    return torch.autograd.grad(result, list(ends), start, **how)


def _may_be_misread(node: Any) -> bool:
    x: Tensor = node._saved_input
    return 1 in x.shape and x.is_contiguous()


def _channels_first(signals: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if signal is None else signal.contiguous() for signal in signals)
