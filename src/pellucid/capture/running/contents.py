"""What a network's attributes hold besides modules: containers, tensors, arrays, generators, objects of its own.

Each kind of value that can change without being replaced knows how it is kept and put back. What is put back is never
empty in between: an interrupt there must not lose anything.
"""

from __future__ import annotations

import array
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from operator import eq, is_
from typing import Any

import torch
from torch import Tensor, nn

_CONTAINERS = (list, deque, dict, set)
PLAIN = frozenset(
    {int, float, bool, str, bytes, complex, range, slice, frozenset, type(None), type(...), type, torch.dtype,
     torch.device, torch.Size, torch.layout, torch.memory_format, types.FunctionType, types.MethodType,
     types.BuiltinFunctionType, types.ModuleType}
)  # fmt: skip
_DEPTH = 5
"""How far values within values are followed."""


class Contents:
    """Everything that some values hold, as it is now.

    Attributes:
        tensors: found on the way; whoever asks copies them.
        parameters: found on the way outside the tables of modules.
        modules: found on the way, such as those in a plain list.
    """

    def __init__(self, known: Iterable[int]) -> None:
        """`known` are the numbers (`id`) of what is looked after elsewhere."""
        self._seen = set(known)
        self._kept: list[Callable[[], None]] = []
        self.tensors: list[Tensor] = []
        self.parameters: list[Tensor] = []
        self.modules: list[nn.Module] = []

    def add(self, values: Iterable[Any], depth: int = _DEPTH) -> None:
        """Keep all that these values hold."""
        values = [value for value in values if type(value) not in PLAIN]
        tuples = [value for value in values if type(value) is tuple]
        if tuples and PLAIN.issuperset(map(type, chain.from_iterable(tuples))):  # sizes and strides, in most layers
            values = [value for value in values if type(value) is not tuple]
        for value in values:
            if id(value) not in self._seen:
                self._seen.add(id(value))
                self._add(value, depth)

    def _add(self, value: Any, depth: int) -> None:
        if isinstance(value, Tensor):
            (self.tensors if type(value) is Tensor else self.parameters).append(value)
        elif isinstance(value, nn.Module):
            self.modules.append(value)
        elif isinstance(value, tuple):
            self._follow(value, depth)
        elif isinstance(value, _CONTAINERS):
            self._kept.append(_keep_container(value))
            self._follow(value.values() if isinstance(value, dict) else value, depth)
            self._add_attributes(value, depth)
        elif (keep := _keeper(value)) is not None:
            self._kept.append(keep)
        else:
            self._add_attributes(value, depth)

    def _add_attributes(self, value: Any, depth: int) -> None:
        """Keep what an object of the network's own holds by name, in its dictionary and in its slots."""
        if not _is_the_users(value):
            return
        if hasattr(value, "__dict__"):
            self._kept.append(_keep_container(vars(value)))
            self._follow(vars(value).values(), depth)
        if slots := _slots(type(value)):
            filled = _filled(value, slots)
            self._kept.append(_keep_slots(value, slots, filled))
            self._follow(filled.values(), depth)

    def _follow(self, values: Iterable[Any], depth: int) -> None:
        if depth and not PLAIN.issuperset(map(type, values)):
            self.add(list(values), depth - 1)

    @property
    def is_empty(self) -> bool:
        """Whether they hold nothing that could change."""
        return not (self._kept or self.tensors or self.parameters or self.modules)

    def put_back(self) -> None:
        """As it was, what lies inside first."""
        for keep in reversed(self._kept):
            keep()


def _is_the_users(value: Any) -> bool:
    """Whether it is an object of the network's own: those of libraries know too much of the world to be followed."""
    if isinstance(value, types.SimpleNamespace):
        return True
    root = type(value).__module__.partition(".")[0]
    return root not in sys.stdlib_module_names and root not in ("torch", "numpy")


def _slots(kind: type[Any]) -> list[types.MemberDescriptorType]:
    """Of classes that name their attributes in `__slots__`, as dataclasses with `slots=True` do."""
    named = chain.from_iterable(vars(each).values() for each in kind.__mro__ if "__slots__" in vars(each))
    return [each for each in named if isinstance(each, types.MemberDescriptorType)]


def _filled(value: Any, slots: Iterable[types.MemberDescriptorType]) -> dict[types.MemberDescriptorType, Any]:
    """What stands in those slots that hold anything."""
    filled = {}
    for slot in slots:
        with suppress(AttributeError):  # of a slot that nothing was put into
            filled[slot] = slot.__get__(value)
    return filled


def put_back(now: dict[Any, Any], before: dict[Any, Any]) -> None:
    """The same keys in the same order with the same objects, in the very dictionary."""
    if same(now, before):
        return
    now.update(before)
    for key in [key for key in now if key not in before]:
        del now[key]
    if not all(map(is_, now, before)):
        for key in before:
            now[key] = now.pop(key)


def same(now: dict[Any, Any], before: dict[Any, Any]) -> bool:
    """Same keys in the same order with the same objects; `==` would compare tensors by value."""
    return len(now) == len(before) and all(map(is_, now, before)) and all(map(is_, now.values(), before.values()))


def _keep_container(value: Any) -> Callable[[], None]:
    before = value.copy()
    if isinstance(value, dict):
        return lambda: put_back(value, before)
    if isinstance(value, set):
        return lambda: put_back_set(value, before)
    return lambda: _put_back_sequence(value, before)


def put_back_set(now: set[Any], before: set[Any]) -> None:
    """The same elements, in the very set."""
    now.update(before)
    now.intersection_update(before)


def _put_back_sequence(now: Any, before: Any) -> None:
    if len(now) == len(before) and all(map(is_, now, before)):
        return
    if isinstance(now, list):
        now[:] = before
        return
    now.extend(before)
    while len(now) > len(before):
        now.popleft()


def _keep_slots(
    value: Any, slots: Iterable[types.MemberDescriptorType], before: dict[types.MemberDescriptorType, Any]
) -> Callable[[], None]:
    """The slots themselves are written to, as a frozen object lets nobody set its attributes."""

    def put_back() -> None:
        for slot, now in _filled(value, slots).items():
            if slot not in before:
                slot.__delete__(value)
            elif now is not before[slot]:
                slot.__set__(value, before[slot])
        for slot in before.keys() - _filled(value, slots).keys():
            slot.__set__(value, before[slot])

    return put_back


def _keeper(value: Any) -> Callable[[], None] | None:
    """How a value is put back that is no container; None for those that are not known to change."""
    numpy: Any = sys.modules.get("numpy")
    if isinstance(value, bytearray):
        return _keep_bytes(value)
    if isinstance(value, array.array):
        return _keep_array(value)
    if isinstance(value, torch.Generator):
        return _keep_state(value.get_state(), value.get_state, value.set_state, torch.equal)
    if isinstance(value, random.Random):
        return _keep_state(value.getstate(), value.getstate, value.setstate)
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _keep_numbers(value, numpy)
    return None if numpy is None else _keep_drawing(value, numpy)


def _keep_drawing(value: Any, numpy: Any) -> Callable[[], None] | None:
    """How one of NumPy's sources of random numbers is put back."""
    if isinstance(value, numpy.random.RandomState):
        return _keep_state(value.get_state(), value.get_state, value.set_state, _never)
    source = value.bit_generator if isinstance(value, numpy.random.Generator) else value
    if isinstance(source, numpy.random.BitGenerator):
        return _keep_state(source.state, lambda: None, lambda state: setattr(source, "state", state), _never)
    return None


def _never(*_: Any) -> bool:
    """Whether two states are equal, where putting back is cheaper than finding out."""
    return False


def _keep_bytes(value: bytearray) -> Callable[[], None]:
    before = bytes(value)

    def put_back() -> None:
        if value != before:
            value[:] = before

    return put_back


def _keep_array(value: Any) -> Callable[[], None]:
    before = value[:]

    def put_back() -> None:
        if value.tobytes() != before.tobytes():
            value[:] = before

    return put_back


def _keep_numbers(value: Any, numpy: Any) -> Callable[[], None]:
    before = value.copy()

    def put_back() -> None:
        if value.flags.writeable and value.tobytes() != before.tobytes():
            numpy.copyto(value, before)

    return put_back


def _keep_state(
    before: Any, get: Callable[[], Any], put: Callable[[Any], Any], equal: Callable[[Any, Any], bool] = eq
) -> Callable[[], None]:
    def put_back() -> None:
        if not equal(get(), before):
            put(before)

    return put_back
