"""The layouts of a network's layers, measured by one pass over noise and remembered per network and input shape."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from pellucid.capture.layers.grids import grid_of
from pellucid.capture.receptive import Homes
from pellucid.capture.running import Stop, find_module, forward, input_type, is_out_of_memory, manner, walk
from pellucid.contracts import Grid, Model, Site


@dataclass(frozen=True)
class Measured:
    """What a layer gave for one picture of noise: its shape without the batch, and its grid or why it has none."""

    shape: tuple[int, ...]
    grid: Grid | str


_Key = tuple[str, int, str]  # path, call and port of a layer


@dataclass
class _Known:
    """Of one network and input shape."""

    whole: bool = False  # whether every module was looked at
    layers: dict[_Key, Measured] = field(default_factory=dict)


_MANY = 32
"""Shapes and manners of running that are remembered for one network."""
_known: weakref.WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], _Known]] = weakref.WeakKeyDictionary()


def layout_of(model: Model, image: Tensor, site: Site) -> Measured | None:
    """How one layer holds its places for inputs of the shape of `image`; None if noise does not come by there.

    Must run inside `guarded` and outside any other mode. Only the first time for a layer and a shape takes a pass, up
    to that layer.
    """
    known, key = _of(model, image), (site.path, site.call or 0, site.port)
    if key not in known.layers and not (known.whole and site.port == "output"):
        known.layers |= _measure(model, image, [key])
    return known.layers.get(key)


def layouts(model: Model, image: Tensor) -> dict[tuple[str, int], Measured]:
    """How every layer's output holds its places, by path and call; as `layout_of`."""
    known = _of(model, image)
    if not known.whole:
        known.layers |= _measure(model, image, None)
        known.whole = True
    return {(path, call): found for (path, call, port), found in known.layers.items() if port == "output"}


def _of(model: Model, image: Tensor) -> _Known:
    by_shape = _known.setdefault(model.module, {})
    key = (*image.shape[1:], image.device, *manner(model), *map(id, walk(model.module)))
    if key not in by_shape and len(by_shape) >= _MANY:
        by_shape.clear()
    return by_shape.setdefault(key, _Known())


def _measure(model: Model, image: Tensor, wanted: Collection[_Key] | None) -> dict[_Key, Measured]:
    generator = torch.Generator("cpu").manual_seed(0)
    noise = torch.randn(1, *image.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
    given = noise.to(image.device, input_type(model, image), copy=True)
    beside = model.inputs.values() if isinstance(model.inputs, Mapping) else model.inputs
    homes, found = Homes(given, beside), dict[_Key, Measured]()
    first = torch.zeros(1, dtype=torch.int64, device=image.device)
    try:
        with torch.no_grad(), _listening(model.module, homes, wanted, found), suppress(Stop), homes, _NotWrapped():
            forward(model, given, first)
    except Exception as error:  # whatever a network does on noise; what was met is known
        if is_out_of_memory(error):
            raise
    return found


class _NotWrapped(TorchFunctionMode):
    """Pads with nothing what is padded with the other side of a map, which is not at home where it is put."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if func is F.pad and "circular" in (*args[2:3], named.get("mode")):
            given = {name: value for name, value in named.items() if name in ("input", "pad")}
            return F.pad(*args[:2], **given)
        return func(*args, **named)


@contextmanager
def _listening(
    module: nn.Module, homes: Homes, wanted: Collection[_Key] | None, found: dict[_Key, Measured]
) -> Iterator[None]:
    """Enter the layers that the pass inside comes by; once all that are wanted are found, `Stop`."""
    handles: list[Any] = []
    calls: Counter[tuple[str, str]] = Counter()

    def meet(path: str, port: str, part: nn.Module, tensor: Any) -> None:
        key = (path, calls[path, port], port)
        calls[path, port] += 1
        if (wanted is None or key in wanted) and _is_layer(tensor):
            with _disable_current_modes():
                shape, boxes = tuple(tensor.shape[1:]), homes.boxes(tensor)
                module = part if port == "output" else None
                own = None if boxes is None else boxes[:, 0]
                found[key] = Measured(shape, grid_of(own, shape, len(homes.pixels), module))
            if wanted is not None and len(found) == len(wanted):
                raise Stop

    def listen(path: str, part: nn.Module, port: str) -> None:
        if port == "input":
            handles.append(part.register_forward_pre_hook(lambda _, args: meet(path, port, part, (*args, None)[0])))
        else:
            handles.append(part.register_forward_hook(lambda _, __, out: meet(path, port, part, out)))

    try:
        if wanted is None:
            for path, part in module.named_modules():
                if not isinstance(part, torch.jit.ScriptModule):  # runs outside Python, where no hook is called
                    listen(path, part, "output")
        else:
            for path, port in {(path, port) for path, _, port in wanted}:
                listen(path, find_module(module, path), port)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_layer(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.ndim >= 2 and len(tensor) == 1
