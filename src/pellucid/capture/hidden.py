"""What a network hides from its own gradient: values that change with the picture, and are constants to the graph.

`detach`, `no_grad`, `.data`, `item` and NumPy all make such constants. Which of them a network uses is not read from
its code. It is run twice, on a picture and on one that differs a little, and the constants that meet values of the
graph are compared; once for each network and shape of input.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from pellucid.capture.feeding import feed, forward, input_type, manner
from pellucid.capture.rewriting import depends, frozen
from pellucid.capture.walk import walk
from pellucid.types import Model

_known: weakref.WeakKeyDictionary[nn.Module, tuple[Any, bool]] = weakref.WeakKeyDictionary()
_STEP = 1e-3


def hides(model: Model, image: Tensor, samples: Tensor) -> bool:
    """Whether numbers that depend on the picture are constants to the graph; used as `feed`.

    Masks and indices are no such numbers: a choice has no gradient. False where the other
    picture cannot be taken.
    """
    module = model.module
    key = (*image.shape[1:], input_type(model, image), *manner(model), *map(id, walk(module)))
    known = _known.get(module)
    if known is None or known[0] != key:
        known = _known[module] = (key, _differ(model, image[:1], samples[:1]))
    return known[1]


def _differ(model: Model, image: Tensor, samples: Tensor) -> bool:
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(image)
    size = image.abs().mean() + _STEP
    here = _constants(model, image, samples)
    try:
        there = _constants(model, image + _STEP * size * noise, samples)
    except Exception:  # noqa: BLE001 - whatever a network does with another picture
        return False
    return len(here) == len(there) and any(a != b for a, b in zip(here, there, strict=True))


def _constants(model: Model, rows: Tensor, samples: Tensor) -> list[Any]:
    """What met values of the graph in one pass, in order, as sums of tensors and numbers."""
    own = {id(t) for part in walk(model.module) for t in (*part._parameters.values(), *part._buffers.values())}
    leaf = feed(model, rows)
    with torch.random.fork_rng(devices=[]), frozen(model.module), torch.enable_grad(), _Meetings(own) as met:
        torch.manual_seed(0)
        forward(model, leaf.requires_grad_().clone(), samples)
    constants: list[Any] = met.constants
    return constants


class _Meetings(TorchFunctionMode):
    """Notes every constant that an operation is given together with a value of the graph."""

    def __init__(self, own: Iterable[int]) -> None:
        super().__init__()
        self.own, self.constants = set(own), list[Any]()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = tree_leaves((args, kwargs or {}))
        if torch.is_grad_enabled() and any(map(depends, given)):
            self.constants += [self._note(value) for value in given if not depends(value)]
        return func(*args, **kwargs or {})

    def _note(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            foreign = value.is_floating_point() and id(value) not in self.own
            return (tuple(value.shape), float(value.detach().double().sum())) if foreign else None
        return value if isinstance(value, float) else None
