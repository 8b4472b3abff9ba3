"""One short text for any values: equal if and only if they decide the same, in every process.

Numbers, texts and tensors count by what they hold, objects by their type and all that a copy is made of, functions and
classes by their code, with what it takes from outside. Code of installed libraries counts by name and version. A text
or path that names a file counts by what stands in the file too. Addresses in memory, order of sets, devices and line
numbers do not count.
"""

from __future__ import annotations

import builtins
import dis
import hashlib
import secrets
import sys
import sysconfig
import threading
import types
import weakref
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

LENGTH = 32
"""Hexadecimal digits of a digest: 128 bits, which never meet by chance."""

_PLAIN = (type(None), bool, float, complex, bytes, bytearray, types.EllipsisType)
_WRITTEN = (torch.dtype, torch.device, torch.layout, torch.memory_format, range, slice)
_WITHOUT_STATE = (type(threading.Lock()), type(threading.RLock()), weakref.ref, threading.local)
_NOT_OF_CLASS = frozenset(  # what Python itself keeps with a class
    (
        "__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__", "__dict__", "__doc__",
        "__firstlineno__", "__module__", "__static_attributes__", "__weakref__", "_abc_impl",
    )
)  # fmt: skip
_PLACES = (types.GetSetDescriptorType, types.MemberDescriptorType)
_LONGEST = 4096  # of a path, in letters


def digest(*values: Any) -> str:
    """32 hexadecimal digits that stand for values.

    What cannot be told apart by its parts, such as an open file or a generator at work, has another digest each time:
    it is never taken for the same.
    """
    return known_digest(*values) or secrets.token_hex(LENGTH // 2)


def known_digest(*values: Any) -> str | None:
    """As `digest`; None where something cannot be told apart by its parts."""
    try:
        return _Describer().of(values).hex()[:LENGTH]
    except (_NotKnown, RecursionError):
        return None


def digest_of_file(path: str | Path) -> str:
    """32 hexadecimal digits that stand for what is in a file.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


def tensor_bytes(tensor: Tensor) -> memoryview:
    """What a tensor holds, in the order of its indices, whatever its layout, device and memory format."""
    tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    plain = tensor.cpu().resolve_conj().resolve_neg().contiguous()
    # Seen as bytes, types that numpy does not know (bfloat16, float8) pass as well.
    return plain.reshape(-1).view(torch.uint8).numpy().data


class _NotKnown(Exception):
    """A value whose parts cannot be seen."""


class _Describer:
    """Digests of values and all that they hold; each object is looked at once."""

    def __init__(self) -> None:
        self.known: dict[int, bytes] = {}
        self.held: list[Any] = []  # so that no other object takes an address that is known

    def of(self, value: Any) -> bytes:
        """The digest of a value; within itself it is known as such."""
        if id(value) in self.known:
            return self.known[id(value)]
        self.held.append(value)
        self.known[id(value)] = b"itself"
        found = hashlib.sha256(f"{type(value).__module__}.{type(value).__qualname__}\n".encode())
        for part in self._parts(value):
            found.update(part)
        self.known[id(value)] = found.digest()
        return found.digest()

    def _parts(self, value: Any) -> Iterator[bytes | memoryview]:
        """What decides, each part of a length that is known from those before it, or the only one."""
        if type(value) in _PLAIN or isinstance(value, _WRITTEN):
            yield repr(value).encode()
        elif type(value) is int:
            yield hex(value).encode()  # the usual way of writing has a limit
        elif type(value) is str or isinstance(value, PurePath):
            yield _text(str(value))
        elif isinstance(value, Tensor):
            yield from _of_tensor(value)
        elif isinstance(value, np.ndarray):
            yield from self._of_array(value)
        elif isinstance(value, type | types.FunctionType | types.CodeType | types.ModuleType):
            yield from self._of_program(value)
        else:
            yield from self._of_container(value)

    def _of_container(self, value: Any) -> Iterator[bytes | memoryview]:
        if type(value) in (set, frozenset):
            yield b"".join(sorted(map(self.of, value)))
        elif type(value) in (list, tuple):
            yield from map(self.of, value)
        elif isinstance(value, dict) and type(value).__module__ in ("builtins", "collections"):
            yield from (self.of(each) for pair in value.items() for each in pair)
        else:
            yield from self._of_object(value)

    def _of_program(self, value: type | types.FunctionType | types.CodeType | types.ModuleType) -> Iterator[bytes]:
        if isinstance(value, type):
            yield from self._of_class(value)
        elif isinstance(value, types.FunctionType):
            yield from self._of_function(value)
        elif isinstance(value, types.CodeType):
            yield from self._of_code(value)
        else:
            yield from _of_file_of(value)

    def _of_object(self, value: Any) -> Iterator[bytes | memoryview]:
        if isinstance(value, types.MethodType):
            yield self.of(value.__func__) + self.of(value.__self__)
        elif isinstance(value, types.BuiltinFunctionType | types.MethodDescriptorType | types.WrapperDescriptorType):
            yield value.__qualname__.encode() + b"\n"
            owner = getattr(value, "__self__", None)
            yield self.of(None if isinstance(owner, types.ModuleType) else owner)
        elif isinstance(value, staticmethod | classmethod):
            yield self.of(value.__func__)
        elif isinstance(value, property):
            yield self.of((value.fget, value.fset))
        elif isinstance(value, types.MappingProxyType):
            yield self.of(dict(value))
        elif isinstance(getattr(value, "__wrapped__", None), types.FunctionType):
            yield self.of(value.__wrapped__)  # a function with a memory
        elif isinstance(value, types.CellType):
            yield self.of(value.cell_contents) if _is_filled(value) else b""
        elif isinstance(value, torch.Generator):
            yield tensor_bytes(value.get_state())
        elif isinstance(value, torch.jit.ScriptModule):
            yield self.of((str(value.inlined_graph), value.state_dict()))
        elif isinstance(value, nn.Module):
            yield self.of(type(value)) + self.of(_of_module(value))
        elif not isinstance(value, _WITHOUT_STATE):
            yield from self._reduced(value)

    def _reduced(self, value: Any) -> Iterator[bytes]:
        """By what a copy of it would be made of."""
        try:
            made = value.__reduce_ex__(4)
        except Exception as error:  # whatever a foreign object says, it cannot be copied
            raise _NotKnown from error
        if isinstance(made, str):
            yield made.encode()
            return
        function, arguments, state, items, pairs = (*made, None, None, None)[:5]
        yield self.of(function) + self.of(arguments) + self.of(state)
        yield self.of([list(items or ()), list(pairs or ())])

    def _of_array(self, value: Any) -> Iterator[bytes | memoryview]:
        if value.dtype.hasobject:
            yield self.of(value.tolist())
        else:
            yield f"{value.dtype.str} {value.shape}\n".encode()
            yield np.ascontiguousarray(value).tobytes()

    def _of_class(self, value: type) -> Iterator[bytes]:
        yield f"{value.__module__}.{value.__qualname__}\n".encode()
        if version := _library(value):
            yield version.encode()
            return
        yield b"".join(map(self.of, value.__mro__[1:]))
        for name, member in vars(value).items():
            if name not in _NOT_OF_CLASS and not isinstance(member, _PLACES):
                yield self.of(name) + self.of(member)

    def _of_function(self, value: types.FunctionType) -> Iterator[bytes]:
        yield f"{value.__module__}.{value.__qualname__}\n".encode()
        if version := _library(value):
            yield version.encode()
            yield self.of(value.__closure__)  # what a library's function was made with
            if "<locals>" in value.__qualname__:  # several may be made in one place, all called so
                yield self.of((value.__code__, value.__defaults__, value.__kwdefaults__))
            return
        outside = {name: value.__globals__[name] for name in _globals(value.__code__) if name in value.__globals__}
        yield self.of(value.__code__) + self.of(value.__defaults__) + self.of(value.__kwdefaults__)
        yield self.of(value.__closure__) + self.of(outside)

    def _of_code(self, value: types.CodeType) -> Iterator[bytes]:
        names = (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars)
        yield self.of(value.co_code) + self.of(value.co_consts) + self.of(names)
        yield self.of((value.co_argcount, value.co_kwonlyargcount, value.co_posonlyargcount, value.co_flags))


def _of_tensor(value: Tensor) -> Iterator[bytes | memoryview]:
    if is_lazy(value):
        yield f"{value.dtype} lazy\n".encode()
        return
    yield f"{value.dtype} {tuple(value.shape)}\n".encode()
    if value.numel() and not value.is_meta:
        yield tensor_bytes(value)


def _of_module(module: nn.Module) -> dict[str, Any]:
    """All that a forward pass may read; hooks without the numbers that torch counts them by."""
    own = {name: value for name, value in vars(module).items() if name != "training"}
    if isinstance(module, torch.fx.GraphModule):
        own.pop("_graph", None)  # its code says the same
    return {name: list(value.values()) if "_hooks" in name else value for name, value in own.items()}


def _text(text: str) -> bytes:
    """A text, with what is in the file that it names."""
    return f"{text!r}\n{_file_digest(text) if 0 < len(text) < _LONGEST else ''}".encode("utf-8", "surrogateescape")


def _file_digest(text: str) -> str:
    try:
        return digest_of_file(text) if Path(text).expanduser().is_file() else ""
    except (OSError, ValueError, RuntimeError):  # too long, or a home that nobody has
        return ""


def _of_file_of(module: types.ModuleType) -> Iterator[bytes]:
    version = version_of(module.__name__)
    yield f"{module.__name__}\n{version}\n".encode()
    if not version:
        yield _file_digest(getattr(module, "__file__", None) or "").encode()


def _globals(code: types.CodeType) -> list[str]:
    """Names of what lies outside of a function, those of functions within it included."""
    found = [each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")]
    inner = [name for const in code.co_consts if isinstance(const, types.CodeType) for name in _globals(const)]
    return sorted({*found, *inner})


def _is_filled(cell: types.CellType) -> bool:
    try:
        return bool(cell.cell_contents is cell.cell_contents)
    except ValueError:
        return False


def _library(value: type | types.FunctionType) -> str:
    """The version of what a class or function was installed with; "" for the user's own."""
    if value.__module__ == "builtins" and not hasattr(builtins, value.__qualname__.partition(".")[0]):
        return ""  # made by `exec`, whose names belong to no module
    return version_of(value.__module__)


@cache
def version_of(module: str) -> str:
    """The version of the installed library that a module belongs to; "" for the user's own code."""
    root = (module or "").partition(".")[0]
    if root in sys.stdlib_module_names:
        return "python"
    found = sys.modules.get(root)
    if found is None or root == "__main__":
        return ""
    file = getattr(found, "__file__", None) or next(iter(getattr(found, "__path__", ())), "")
    folders = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    if root == "pellucid" or any(file.startswith(f"{folder}/") for folder in folders):
        return str(getattr(found, "__version__", "installed"))
    return ""
