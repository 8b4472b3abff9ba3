"""What holds for the whole thread or process while a network runs, and is put back when a forward pass changes it."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch._tensor_str import PRINT_OPTS
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode

_DEVICES = ("cpu", "cuda")


def _replace_filters(filters: list[Any]) -> None:
    known: Any = warnings.filters
    known[:] = filters


def _of_numpy(name: str) -> Any:
    """What a function of NumPy returns; None while nothing has imported NumPy."""
    numpy = sys.modules.get("numpy")
    return getattr(numpy, name)() if numpy else None


def _set_in_numpy(name: str) -> Callable[[Any], object]:
    def put(before: Any) -> None:
        if before is not None:
            getattr(sys.modules["numpy"], name)(**before)

    return put


def _set_print_options(before: dict[str, Any]) -> None:
    PRINT_OPTS.__dict__ = dict(before)


_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (lambda: list(warnings.filters), _replace_filters),
    (torch._C._get_cudnn_benchmark, torch._C._set_cudnn_benchmark),
    (torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled),
    (lambda: dict(vars(PRINT_OPTS)), _set_print_options),
    (lambda: _of_numpy("geterr"), _set_in_numpy("seterr")),
    (lambda: _of_numpy("get_printoptions"), _set_in_numpy("set_printoptions")),
    (sys.getrecursionlimit, sys.setrecursionlimit),
)


class ProcessSettings:
    """The process's own settings as they are now."""

    def __init__(self) -> None:
        self.before = [get() for get, _ in _SETTINGS]

    def put_back(self) -> None:
        """Set again what has changed since."""
        for (get, put), before in zip(_SETTINGS, self.before, strict=True):
            if get() != before:
                put(before)


def _function_modes() -> list[Any]:
    return list(_get_current_function_mode_stack())  # type: ignore[no-untyped-call]


class Modes:
    """How torch computes in this thread; from now on without gradients, inference mode and autocast."""

    def __init__(self) -> None:
        self.grad = torch.is_grad_enabled()
        self.functions = _function_modes()
        self.device = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
        self.autocast = [torch.is_autocast_enabled(device) for device in _DEVICES]
        self.inference = torch.inference_mode(False) if torch.is_inference_mode_enabled() else None

    def enter(self) -> None:
        """Switch over; the caller's inference mode would make tensors that have no gradient for good."""
        if self.inference is not None:
            self.inference.__enter__()
        torch.set_grad_enabled(False)
        for device, on in zip(_DEVICES, self.autocast, strict=True):
            if on:
                torch.set_autocast_enabled(device, False)

    def drop(self) -> None:
        """Leave the modes that were left switched on since, which would change what everything else does."""
        if (now := _function_modes()) != self.functions:
            for _ in now:
                _pop_mode()  # type: ignore[no-untyped-call]
            for mode in self.functions:
                _push_mode(mode)  # type: ignore[no-untyped-call]
        torch._GLOBAL_DEVICE_CONTEXT.device_context = self.device  # the default device is one of these modes
        torch.set_grad_enabled(False)

    def put_back(self) -> None:
        """As it was."""
        self.drop()
        for device, on in zip(_DEVICES, self.autocast, strict=True):
            if torch.is_autocast_enabled(device) != on:
                torch.set_autocast_enabled(device, on)
        inference, self.inference = self.inference, None
        if inference is not None:
            inference.__exit__(None, None, None)
        torch.set_grad_enabled(self.grad)


_lock = threading.Lock()
_eager: dict[object, Any] = {}  # by user of it; the first holds what was set before


def compiler_off(user: object) -> None:
    """Run compiled parts as they were written; the setting is the process's own, so its users are counted."""
    if "torch._dynamo" in sys.modules:  # otherwise nothing can be compiled yet, and importing it costs a second
        with _lock:
            _eager[user] = None if _eager else torch.compiler.set_stance("force_eager")


def compiler_on(user: object) -> None:
    """One user less; the last puts back what was set before."""
    with _lock:
        if user not in _eager:
            return
        stance = _eager.pop(user)
        if stance is None:
            return
        if _eager:
            _eager[next(iter(_eager))] = stance
        else:
            stance.__exit__(None, None, None)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - a lock that another thread held stays locked for ever
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
