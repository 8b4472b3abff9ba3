"""What a network hides from its own gradient: values that change with the picture, and are constants to the graph.

`detach`, `no_grad`, `.data`, `item` and NumPy all make such constants. Which of them a network uses is not read from
its code. It is run twice, on a picture and on one that differs a little, and the constants that meet values of the
graph are compared; once for each network and shape of input.

Rules for rectifiers follow what torch computes, constants too, and only ask for numbers that come from outside: made of
the picture by NumPy or Python, so that no call tells how. Those are masks as well, so the other picture differs a lot.
Nor does any call tell of choices that Python makes by the values, see `choices.py`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from pellucid.capture.operators import ADDING, FACTORS, called, depends
from pellucid.capture.running.choices import Reads, choosing
from pellucid.capture.running.feeding import feed, forward, input_type, manner
from pellucid.capture.running.modules import walk
from pellucid.capture.running.parameters import frozen
from pellucid.capture.running.random_state import drawn_apart, draws
from pellucid.contracts import Model

_known: weakref.WeakKeyDictionary[nn.Module, tuple[Any, bool]] = weakref.WeakKeyDictionary()
_outside: weakref.WeakKeyDictionary[nn.Module, tuple[Any, bool]] = weakref.WeakKeyDictionary()
_STEP = 1e-3


def hides(model: Model, image: Tensor, samples: Tensor) -> bool:
    """Whether numbers that depend on the picture are constants to the graph; used as `feed`.

    Masks and indices are no such numbers: a choice has no gradient. False where the other
    picture cannot be taken.
    """
    return _remembered(_known, model, image, lambda: _differ(model, image[:1], samples[:1]))


def comes_from_outside(model: Model, image: Tensor, samples: Tensor) -> bool:
    """Whether numbers, or choices, that depend on the picture are made where torch does not see it; used as `feed`.

    False where the other picture cannot be taken.
    """
    return _remembered(_outside, model, image, lambda: _differ_outside(model, image[:1], samples[:1]))


def _remembered(
    known: weakref.WeakKeyDictionary[nn.Module, tuple[Any, bool]],
    model: Model,
    image: Tensor,
    measure: Callable[[], bool],
) -> bool:
    module = model.module
    key = (*image.shape[1:], input_type(model, image), *manner(model), *map(id, walk(module)))
    found = known.get(module)
    if found is None or found[0] != key:
        found = known[module] = (key, measure())
    return found[1]


def _differ(model: Model, image: Tensor, samples: Tensor) -> bool:
    noise, size = _noise(image), image.abs().mean() + _STEP
    here = _meetings(model, image, samples).constants
    try:
        there = _meetings(model, image + _STEP * size * noise, samples).constants
    except Exception:  # noqa: BLE001 - whatever a network does with another picture
        return False
    return len(here) == len(there) and any(a != b for a, b in zip(here, there, strict=True))


def _differ_outside(model: Model, image: Tensor, samples: Tensor) -> bool:
    reads = Reads()
    here = _meetings(model, image, samples, reads).foreign
    if not here and not reads.seen:
        return False
    other_picture = image.abs().mean() * _noise(image) - image
    try:
        own = Reads()
        found = _meetings(model, other_picture, samples, own)
        if reads.seen and _chooses(model, other_picture, samples, reads, own, found.output):
            return True
        there = found.foreign
    except Exception:  # noqa: BLE001 - whatever a network does with another picture
        return False
    for (place, value), (other_place, other) in zip(here, there, strict=False):
        if place != other_place:  # it goes another way from here on
            return False
        if value != other:
            return True
    return False


def _chooses(model: Model, picture: Tensor, samples: Tensor, reads: Reads, own: Reads, output: Any) -> bool:
    told = Reads(reads.seen)
    try:
        other = _meetings(model, picture, samples, told).output
    except Exception:  # noqa: BLE001 - whatever a network does when told of another picture
        return True  # what it reads decides at least how large something is: never silent where it cannot be measured
    return choosing(own, told, (output, other))


def _noise(image: Tensor) -> Tensor:
    return torch.randn(image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(image)


def _meetings(model: Model, rows: Tensor, samples: Tensor, reads: Reads | None = None) -> _Meetings:
    """What met values of the graph in one pass, in order, and what Python read on the way if that is asked for."""
    own = {id(t) for part in walk(model.module) for t in (*part._parameters.values(), *part._buffers.values())}
    leaf = feed(model, rows)
    with drawn_apart(), frozen(model.module), torch.enable_grad(), _Meetings(own) as met:
        if draws(model.module):
            torch.manual_seed(0)
        with reads or nullcontext():
            met.output = forward(model, leaf.requires_grad_().clone(), samples)
    found: _Meetings = met
    return found


class _Meetings(TorchFunctionMode):
    """Notes what an operation is given together with values of the graph.

    Attributes:
        constants: sums of numbers that are constants to the graph, whatever made them.
        foreign: function and shape, and a digest, of what no operation made of values of the graph.
        output: what the network gave.
    """

    def __init__(self, own: Iterable[int]) -> None:
        super().__init__()
        self.output: Any = None
        self.own, self.constants, self.foreign = set(own), list[Any](), list[tuple[Any, Any]]()
        self._made: Any = WeakTensorKeyDictionary()  # by operations, of values of the graph
        self._weights: Any = WeakTensorKeyDictionary()  # parts of parameters and buffers

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = tree_leaves((args, kwargs or {}))
        if torch.is_grad_enabled() and any(map(depends, given)):
            self.constants += [self._note(value) for value in given if not depends(value)]
        ours = [depends(value) or (isinstance(value, Tensor) and value in self._made) for value in given]
        if not any(ours):
            return self._moved(func, args, kwargs or {})
        self.foreign += [
            self._digest(func, v) for v, own in zip(given, ours, strict=True) if not own and _counts(func, v)
        ]
        result = func(*args, **kwargs or {})
        self._made.update((out, True) for out in tree_leaves(result) if isinstance(out, Tensor))
        return result

    def _moved(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a call gives that meets no value of the graph: parts of weights are weights, whoever chose them."""
        result, operator, first = func(*args, **kwargs), called(func), args[0] if args else None
        if isinstance(first, Tensor) and operator is not None and "moving" in operator.traits and self._is_own(first):
            self._weights.update((out, True) for out in tree_leaves(result) if isinstance(out, Tensor))
        elif isinstance(first, Tensor) and _writes(func.__name__):
            self._weights.pop(first, None)
        return result

    def _is_own(self, value: Tensor) -> bool:
        return id(value) in self.own or value in self._weights

    def _note(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            foreign = value.is_floating_point() and id(value) not in self.own
            return (tuple(value.shape), float(value.detach().double().sum())) if foreign else None
        return value if isinstance(value, float) else None

    def _digest(self, func: Any, value: Any) -> tuple[Any, Any]:
        if not isinstance(value, Tensor):
            return (func, type(value)), repr(value)
        if self._is_own(value):
            return (func, None), None
        numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return (func, tuple(value.shape)), hash(numbers.tobytes())


def _writes(name: str) -> bool:
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in ("__invert__", "__iter__", "__index__"))
    return name.endswith("_")


def _counts(func: Any, value: Any) -> bool:
    """Whether a value is a number to compute with, and not a size, a place or a setting."""
    if isinstance(value, Tensor):
        return value.layout == torch.strided
    return isinstance(value, bool | float) or (isinstance(value, int) and called(func) in ADDING | FACTORS)
