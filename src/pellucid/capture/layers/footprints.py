"""Memory that one sample takes on its way through a network: measured by one pass, and remembered."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.capture.running import feed, forward, manner, walk
from pellucid.contracts import Model


@dataclass(frozen=True)
class Footprint:
    """Memory that one sample takes: of all layer outputs together (about what a graph keeps), and of the largest.

    Attributes:
        outputs: of each layer without children, its `id` and the bytes of its output, in the order of the pass.
    """

    bytes_per_sample: int
    largest: int
    outputs: tuple[tuple[int, int], ...] = ()

    @property
    def there_and_back(self) -> int:
        """Memory of a forward and a backward pass, which frees values on its way: 0.8 to 1.2 of all outputs."""
        return round(1.25 * self.bytes_per_sample)

    def largest_behind(self, module: nn.Module) -> int:
        """The largest output behind the last call of a module, of all if it was not called."""
        inside = {id(part) for part in walk(module)}
        last = max((k for k, (part, _) in enumerate(self.outputs) if part in inside), default=-1)
        return max((size for _, size in self.outputs[last + 1 :]), default=0)


_MANY = 32
"""Shapes and manners of running that are remembered for one network."""


_footprints: weakref.WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], Footprint]] = weakref.WeakKeyDictionary()


def _shape(model: Model, image: Tensor) -> tuple[Any, ...]:
    return (*image.shape[1:], *manner(model))


def footprint(model: Model, image: Tensor) -> Footprint:
    """What one sample takes, by one pass that keeps nothing; remembered per model and input shape.

    Must run inside `guarded`.
    """
    known, key = _footprints.get(model.module, {}), _shape(model, image)
    if key not in known:
        given = feed(model, image[:1])
        with measured(model, image), torch.no_grad():
            forward(model, given, torch.zeros(1, dtype=torch.int64, device=given.device))
    return _footprints[model.module][key]


@contextmanager
def measured(model: Model, image: Tensor) -> Iterator[None]:
    """Remember the footprint of the pass inside, a whole one of a single sample, unless it is known."""
    known, key = _footprints.setdefault(model.module, {}), _shape(model, image)
    if key in known:
        yield
        return
    outputs: list[tuple[int, int]] = []
    handles: list[Any] = []

    def listen(part: nn.Module, _: Any, out: Any) -> None:
        outputs.append((id(part), out.nbytes if isinstance(out, Tensor) else 0))

    try:
        for part in walk(model.module):
            if not part._modules:
                handles.append(part.register_forward_hook(listen))
        yield
    finally:
        for handle in handles:
            handle.remove()
    if len(known) >= _MANY:
        known.clear()
    sizes = [size for _, size in outputs]
    known[key] = Footprint(sum(sizes), max(sizes, default=0), tuple(outputs))
