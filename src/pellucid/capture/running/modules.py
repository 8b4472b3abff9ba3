"""All parts of a network, quickly: on small networks torch's own generators cost as much as a tenth of the forward."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch import nn

_walked: weakref.WeakKeyDictionary[nn.Module, list[nn.Module]] = weakref.WeakKeyDictionary()


def walk(module: nn.Module, *, again: bool = False) -> list[nn.Module]:
    """All modules, each once, but for TorchScript, whose parts and state lie outside Python.

    Args:
        module: the root.
        again: True to walk even if the answer is remembered.
    """
    known = None if again else _walked.get(module)
    if known is not None:
        return known
    scripted = torch.jit.ScriptModule
    level = [] if isinstance(module, scripted) else [module]
    found, seen = list(level), set(map(id, level))
    while level:  # one level of the tree at a time, as loops over many parts cost less than many loops
        tables = [part._modules for part in level]
        children = [child for table in filter(None, tables) for child in table.values() if child is not None]
        level = [child for child in children if id(child) not in seen and not isinstance(child, scripted)]
        level = list({id(child): child for child in level}.values())
        seen.update(map(id, level))
        found += level
    return found


def paths(module: nn.Module) -> dict[str, nn.Module]:
    """Every module by its dotted path, in the order and under the names in which torch prints them."""
    return {path: part for path, part in module.named_modules() if path}


def remember(module: nn.Module, parts: list[nn.Module]) -> Callable[[], None]:
    """Answer `walk` by these parts until the function that is returned is called; for who holds the model's turn."""
    before = _walked.get(module)
    _walked[module] = parts

    def forget() -> None:
        if before is None:
            _walked.pop(module, None)
        else:
            _walked[module] = before

    return forget
