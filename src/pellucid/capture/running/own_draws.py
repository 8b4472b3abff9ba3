"""Which random states this thread draws from, while others may draw from the same.

The states belong to the process and do not tell who moved them. What a thread does is seen in two ways that other
threads have no part in: a mode sees the operations that torch marks as random, and a profiler sees the calls of
Python's `random` and of torch's default generators. NumPy's functions call no profiler: there it counts whether the
state moved and whether code that ran names `numpy.random`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Literal, TypeAlias

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Source: TypeAlias = Literal["python", "numpy", "torch"]
_READS = ("getstate", "get_state", "initial_seed")


class OwnDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context in which draws of this thread are noted.

    Attributes:
        seen: what was drawn from or set; NumPy where it may have been.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[Source] = set()
        self._code: dict[int, bool] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise torch would import its compiler, which takes seconds, and nothing is compiled here

    def __enter__(self) -> OwnDraws:
        super().__enter__()  # type: ignore[no-untyped-call]
        sys.setprofile(self._profile)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.setprofile(None)
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and note whether it draws."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()) and _draws(func, args, kwargs):
            self.seen.add("torch")
        return func(*args, **kwargs)

    def _profile(self, frame: FrameType, event: str, what: Any) -> None:
        if event == "c_call":
            owner = getattr(what, "__self__", None)
            if owner is getattr(random, "_inst", None) and what.__name__ not in _READS:
                self.seen.add("python")
            elif isinstance(owner, torch.Generator) and _is_default(owner) and what.__name__ not in _READS:
                self.seen.add("torch")
        elif event == "call" and "numpy" not in self.seen:
            code = frame.f_code
            if id(code) not in self._code:
                self._code[id(code)] = _reaches_numpy(frame)
            if self._code[id(code)]:
                self.seen.add("numpy")


def _draws(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operation that may draw does so, from the state of the process."""
    known = func._schema.arguments
    values = {argument.name: argument.default_value for argument in known if argument.has_default_value()}
    values |= dict(zip((argument.name for argument in known), args, strict=False)) | kwargs
    own = any(isinstance(value, torch.Generator) and not _is_default(value) for value in values.values())
    return not own and values.get("dropout_p") != 0 and values.get("train", values.get("training")) is not False


def _is_default(generator: torch.Generator) -> bool:
    return any(generator is known for known in (torch.default_generator, *torch.cuda.default_generators))


def _reaches_numpy(frame: FrameType) -> bool:
    """Whether the code of a frame names NumPy's random module, or one of its functions."""
    names, numpy = frame.f_code.co_names, sys.modules.get("numpy")
    if numpy is None:
        return "numpy" in names
    state = getattr(numpy.random.rand, "__self__", None)
    for known in _named(frame):
        if known is numpy.random or (known is numpy and "random" in names):
            return True
        if state is not None and getattr(known, "__self__", None) is state:
            return True
    return "numpy.random" in names or ("numpy" in names and "random" in names)


def _named(frame: FrameType) -> Iterator[Any]:
    """Objects that the code of a frame names: globals, and variables of the functions around it."""
    yield from (frame.f_globals[name] for name in frame.f_code.co_names if name in frame.f_globals)
    yield from (frame.f_locals[name] for name in frame.f_code.co_freevars if name in frame.f_locals)
