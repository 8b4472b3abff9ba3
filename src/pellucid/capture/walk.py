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
        again: whether to walk even if the answer is remembered.
    """
    known = None if again else _walked.get(module)
    if known is not None:
        return known
    found, stack, seen, scripted = [], [module], {id(module)}, torch.jit.ScriptModule
    while stack:
        part = stack.pop()
        if isinstance(part, scripted):
            continue
        found.append(part)
        if part._modules:
            new = [child for child in part._modules.values() if child is not None and id(child) not in seen]
            stack += {id(child): child for child in new}.values()
            seen.update(map(id, new))
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
