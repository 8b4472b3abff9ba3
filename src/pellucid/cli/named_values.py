"""Inputs beside a picture on the command line: `--input age=63`, `--input dose=0.5,1,2`, `--input history=file.npy`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pellucid.errors import BadOption


def named_values(texts: Sequence[str]) -> dict[str, Tensor]:
    """Inputs by name, one row each.

    Numbers are one row of a table of real numbers. An array keeps its own type, whole numbers among them, and is one
    row unless its first axis, of several, has length 1.

    Raises:
        BadOption: a text that is none of these, a file that cannot be read, or a name given twice.
    """
    found = dict[str, Tensor]()
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals and value.strip()) or name.strip() in found:
            raise BadOption(f"Expected NAME=VALUE, each name once, for --input, as in --input age=63, got {text!r}.")
        found[name.strip()] = _from_file(value) if value.endswith(".npy") else _numbers(value, text)
    return found


def _numbers(value: str, text: str) -> Tensor:
    try:
        return torch.tensor([[float(part) for part in value.split(",")]])
    except ValueError:
        raise BadOption(
            f"Expected a number, numbers such as 1,2,3 or a file that ends in .npy for --input, got {text!r}."
        ) from None


def _from_file(value: str) -> Tensor:
    try:
        array = np.load(Path(value).expanduser(), allow_pickle=False)
        tensor = torch.from_numpy(np.ascontiguousarray(array))
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise BadOption(f"The array {value!r} for --input cannot be read: {error}") from error
    return tensor if tensor.ndim > 1 and len(tensor) == 1 else tensor[None]
