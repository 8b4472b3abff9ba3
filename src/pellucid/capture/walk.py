"""All parts of a network, quickly: on small networks torch's own generators cost as much as a tenth of the forward."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_walked: weakref.WeakKeyDictionary[nn.Module, list[nn.Module]] = weakref.WeakKeyDictionary()


def walk(module: nn.Module) -> list[nn.Module]:
    """All modules, each once, but for TorchScript, whose parts and state lie outside Python."""
    known = _walked.get(module)
    if known is not None:
        return known
    found, stack, seen = [], [module], {id(module)}
    while stack:
        part = stack.pop()
        if isinstance(part, torch.jit.ScriptModule):
            continue
        found.append(part)
        for child in part._modules.values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                stack.append(child)
    return found


def paths(module: nn.Module) -> dict[str, nn.Module]:
    """Every module by its dotted path, in the order and under the names in which torch prints them."""
    return {path: part for path, part in module.named_modules() if path}


@contextmanager
def walked_once(module: nn.Module) -> Iterator[list[nn.Module]]:
    """Walk now, and answer `walk` from that until the end; for the one who holds the model's lock."""
    _walked.pop(module, None)
    _walked[module] = walk(module)
    try:
        yield _walked[module]
    finally:
        _walked.pop(module, None)
