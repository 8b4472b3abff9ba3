"""Values of any kind as JSON that every parser reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """A value as JSON knows them: mappings, lists, texts, finite numbers, booleans and null.

    Args:
        value: numbers that are not finite become null, keys texts, tuples, sets, arrays and tensors lists, dataclasses
            mappings of their fields, and whatever else there is (paths, layers, types) its text.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return None if isinstance(value, float) and not math.isfinite(value) else value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Set):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, np.ndarray | np.generic) or _is_tensor(value):
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type) and type(value).__str__ is object.__str__:
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return str(value)


def as_json(value: Any, *, indent: int = 1, ascii_only: bool = False) -> str:
    """One JSON document with a newline at its end.

    Args:
        value: see `plain`.
        indent: spaces for each level.
        ascii_only: True if all other characters are written as escapes, for terminals.
    """
    return json.dumps(plain(value), ensure_ascii=ascii_only, allow_nan=False, indent=indent) + "\n"


def as_file(value: Any) -> bytes:
    """One JSON document as the content of a file.

    Lone surrogates of undecodable file names come out as the JSON escapes that they are read back from.
    """
    return as_json(value).encode("utf-8", "backslashreplace")


def _is_tensor(value: Any) -> bool:
    """Whether it is a tensor of torch, which need not be imported to tell."""
    return any(kind.__module__ == "torch" and kind.__name__ == "Tensor" for kind in type(value).__mro__)
