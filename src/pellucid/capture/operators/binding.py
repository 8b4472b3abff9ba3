"""What depends on the picture."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def depends(value: Any) -> bool:
    """Whether a value depends on the picture, in a pass with frozen parameters."""
    return isinstance(value, Tensor) and value.requires_grad
