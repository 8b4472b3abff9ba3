"""A network in float64 for the length of a pass: the same weights with more digits for what is computed from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor

from pellucid.capture.running.modules import walk
from pellucid.contracts import Model


@contextmanager
def in_double(model: Model) -> Iterator[Model]:
    """The model, whose module holds float64 copies of its parameters and buffers until the end.

    The module's own tensors are set aside and put back as they are; nothing is converted in place.
    """
    tables: list[dict[str, Any]] = [table for part in walk(model.module) for table in (part._parameters, part._buffers)]
    kept = [dict(table) for table in tables]
    copies: dict[int, Tensor] = {}  # a tensor that is used in two places stays one
    try:
        for table in tables:
            for name, tensor in table.items():
                if tensor is not None and tensor.is_floating_point():
                    found: Any = copies.setdefault(id(tensor), tensor.detach().double())
                    table[name] = found
        yield replace(model, inputs=_doubled(model.inputs))
    finally:
        for table, own in zip(tables, kept, strict=True):
            table.update(own)


def _doubled(inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return {name: _wide(tensor) for name, tensor in inputs.items()}
    return tuple(map(_wide, inputs)) if inputs else inputs


def _wide(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
