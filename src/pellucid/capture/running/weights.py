"""Other weights for the length of a pass: drawn at random, or from elsewhere. The user's own are never written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pellucid.capture.running.feeding import feed, forward
from pellucid.contracts import Model, Noise
from pellucid.errors import Refused

ROOT = "(model)"
"""Stands for the network itself, where weights belong to none of its parts."""


def weighted_layers(model: Model, image: Tensor) -> dict[str, tuple[str, ...]]:
    """The modules that own weights, and the names of these, in the order in which a pass comes to them.

    Weights of a module that is never called itself (attention's own projections) count where the module that holds it
    is called. Must run inside `guarded`.

    Args:
        model: the network.
        image: one picture will do, `[batch, channel, row, column]`.

    Raises:
        Refused: its weights lie outside Python, or there are none.
    """
    if any(isinstance(part, torch.jit.ScriptModule) for part in model.module.modules()):
        raise Refused(f"{model.name} holds TorchScript, whose weights cannot be exchanged for a pass.")
    order = _first_calls(model, image[:1])
    found: dict[str, list[str]] = {}
    for name, weight in model.module.named_parameters():
        if weight.is_floating_point():
            found.setdefault(name.rpartition(".")[0], []).append(name)
    if not found:
        raise Refused(f"{model.name} has no weights, so its maps cannot depend on them.")
    last = len(order)

    def place(path: str) -> int:
        while path and path not in order:
            path = path.rpartition(".")[0]
        return order.get(path, last)

    return {path or ROOT: tuple(found[path]) for path in sorted(found, key=place)}


def _first_calls(model: Model, image: Tensor) -> dict[str, int]:
    """The number of each module's first call in one pass, by path."""
    order: dict[str, int] = {}
    given = feed(model, image)
    with ExitStack() as stack, torch.no_grad():
        for path, part in model.module.named_modules():
            stack.callback(part.register_forward_pre_hook(partial(_note, order, path)).remove)
        forward(model, given, torch.zeros(1, dtype=torch.int64, device=image.device))
    return order


def _note(order: dict[str, int], path: str, *_: Any) -> None:
    order.setdefault(path, len(order))


class Substitution:
    """Runs a network with other tensors in the place of some of its weights; stands as the `call` of a model.

    Attributes:
        tensors: by the names of `named_parameters` and `named_buffers`.
    """

    def __init__(self, call: Callable[..., Any] | None) -> None:
        self.inner, self.tensors = call, dict[str, Tensor]()

    def __call__(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """One pass."""
        if self.inner is None:
            return functional_call(module, self.tensors, args, kwargs)
        return self.run(self.inner, module, *args, **kwargs)

    def run(self, call: Callable[..., Any], module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """One pass in another way: what the function makes of the network with these tensors."""
        named = {f"module.{name}": tensor for name, tensor in self.tensors.items()}
        return functional_call(_Called(module, call), named, args, kwargs)


class _Called(nn.Module):
    """A network as a module that is run in the user's way."""

    def __init__(self, module: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.module, self.call = module, call

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(self.module, *args, **kwargs)


def substituted(model: Model) -> tuple[Model, Substitution]:
    """The same model, whose passes take the tensors that the substitution holds at that time."""
    found = Substitution(model.call)
    mask = None if model.mask is None else partial(found.run, model.mask)
    return replace(model, call=found, mask=mask), found


def drawn_weights(model: Model, layers: Mapping[str, tuple[str, ...]], rng: Noise) -> dict[str, Tensor]:
    """Normal weights with the mean and deviation that each tensor of these layers has, by name.

    A tensor's draw depends on its place among all weights and on the seed alone.
    """
    numbers = {name: number for number, (name, _) in enumerate(model.module.named_parameters())}
    weights, found = dict(model.module.named_parameters()), {}
    for name in (name for names in layers.values() for name in names):
        own = weights[name].detach()
        wide = own.double() if own.numel() < 2**16 else own.float()
        noise = rng.normal(torch.tensor([numbers[name]]), wide[None])[0]
        found[name] = (wide.mean() + wide.std(correction=0) * noise).to(own.dtype)
    return found


def checked_weights(model: Model, tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Weights from elsewhere, in the model's own types and on its device.

    Raises:
        Refused: other names or shapes than the model's.
    """
    own = {**dict(model.module.named_parameters()), **dict(model.module.named_buffers())}
    kept = set(model.module.state_dict())
    strange = sorted(kept ^ set(tensors)) + [n for n in kept & set(tensors) if own[n].shape != tensors[n].shape]
    if strange:
        raise Refused(f"The weights in {source} are not those of {model.name}: {strange[0]!r} does not fit.")
    return {name: tensor.to(own[name]) for name, tensor in tensors.items()}
