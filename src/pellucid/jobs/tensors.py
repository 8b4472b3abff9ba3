"""Tensors and plain values as the payload of an entry, and back."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import torch


def packed(content: dict[str, Any]) -> bytes:
    """Tensors, numbers, texts and containers of them, as bytes."""
    made = BytesIO()
    torch.save(content, made)
    return made.getvalue()


def unpacked(payload: bytes | None) -> dict[str, Any] | None:
    """What was packed; None of None, and of what is nothing of the kind. Nothing in it is run."""
    if payload is None:
        return None
    try:
        found = torch.load(BytesIO(payload), weights_only=True, map_location="cpu")
    except Exception:  # noqa: BLE001 - whatever is wrong with them, these bytes are no state
        return None
    return found if isinstance(found, dict) else None
