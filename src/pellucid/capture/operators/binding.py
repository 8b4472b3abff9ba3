"""The arguments of calls."""

from __future__ import annotations

from typing import Any

from torch import Tensor


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
