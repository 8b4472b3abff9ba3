"""What a module returned, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def described(output: Any, depth: int = 2) -> str:
    """What a module returned, for people: a shape, or the kind of container and what lies in it."""
    if isinstance(output, Tensor):
        return " x ".join(map(str, output.shape)) or "one number"
    if isinstance(output, Mapping) and depth:
        return "{" + ", ".join(f"{key}: {described(v, depth - 1)}" for key, v in list(output.items())[:4]) + "}"
    if isinstance(output, list | tuple) and depth:
        more = ", ..." if len(output) > 4 else ""
        return "(" + ", ".join(described(v, depth - 1) for v in output[:4]) + more + ")"
    return type(output).__name__
