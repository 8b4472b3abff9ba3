"""Functions of torch by name, and the arguments of their calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def functions(*names: str) -> frozenset[Callable[..., Any]]:
    """Every function of torch, `torch.nn.functional` and tensors that goes by one of these names."""
    found = (getattr(place, name, None) for place in (torch, F, Tensor, torch._C._nn) for name in names)
    return frozenset(function for function in found if function is not None)


def bind(args: tuple[Any, ...], kwargs: dict[str, Any], *names: tuple[str, Any]) -> list[Any]:
    """Arguments in the order of `names`, each with its default.

    Raises:
        TypeError: a call with other arguments.
    """
    if len(args) > len(names) or not set(kwargs) <= {"self", *(name for name, _ in names)}:
        raise TypeError
    rest = names[len(args) :]
    return [*args, *(kwargs.get(name, default) for name, default in rest)]


def depends(value: Any) -> bool:
    """Whether a value depends on the picture, in a pass with frozen parameters."""
    return isinstance(value, Tensor) and value.requires_grad
