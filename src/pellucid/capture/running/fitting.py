"""Whether an input has the axes that a network's convolutions run along: torch takes one axis less for one sample.

A convolution on two axes that is given `[3, 32, 32]` sees one picture with three channels where three signals were
meant, and says nothing. So the first pass over inputs of a new kind is watched, once for each network.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from pellucid.capture.operators import called, op
from pellucid.capture.running.batch_size import is_out_of_memory
from pellucid.capture.running.feeding import forward, input_type, manner
from pellucid.capture.running.modules import walk
from pellucid.capture.running.random_state import drawn_apart
from pellucid.contracts import Model
from pellucid.errors import BadOption

_TAKES: Mapping[int, str] = {
    1: "[batch, channel, time]",
    2: "[batch, channel, row, column]",
    3: "[batch, channel, depth, row, column]",
}
_ONE = {1: "signal [channel, time]", 2: "picture [channel, row, column]", 3: "volume [channel, depth, row, column]"}
_known: weakref.WeakKeyDictionary[nn.Module, set[tuple[Any, ...]]] = weakref.WeakKeyDictionary()


def check_axes(model: Model, image: Tensor) -> None:
    """Refuse an input with other axes than the network's convolutions run along. Must run inside `guarded`.

    Pictures in a network whose convolutions all run along two axes are not looked at: no pass is made.

    Args:
        model: any.
        image: what it is to be given, `[batch, channel, *axes]`.

    Raises:
        BadOption: a convolution is given something with another number of axes; says what to type.
    """
    axes = image.ndim - 2
    known, key = _known.setdefault(model.module, set()), (axes, *manner(model))
    if key in known:
        return
    own = {len(part.kernel_size) for part in walk(model.module) if isinstance(part, _ConvNd)}
    if axes == 2 and own <= {2}:
        known.add(key)
        return
    given = image[:1].detach().to(input_type(model, image), copy=True)
    try:
        with drawn_apart(), torch.no_grad(), _Watched(model, image):
            forward(model, given, torch.zeros(1, dtype=torch.int64, device=image.device))
    except BadOption:
        raise
    except Exception as error:  # whatever else it says, it says again in the pass that counts
        if is_out_of_memory(error):
            raise
        return
    known.add(key)


class _Watched(TorchFunctionMode):
    """Looks at what every convolution is given, before torch does."""

    def __init__(self, model: Model, image: Tensor) -> None:
        super().__init__()
        self.model, self.image = model, image

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if called(func) in (op.CONVOLUTION, op.TRANSPOSED_CONVOLUTION):
            named = kwargs or {}
            x, weight = (
                named.get(name, args[k] if k < len(args) else None) for k, name in enumerate(("input", "weight"))
            )
            if isinstance(x, Tensor) and isinstance(weight, Tensor) and x.ndim != weight.ndim:
                self._refuse(weight.ndim - 2)
        return func(*args, **(kwargs or {}))

    def _refuse(self, axes: int) -> None:
        """Say what the network takes, unless it runs along the input's own axes and parts its rows itself."""
        shape = list(self.image[:, 0].shape if self.model.is_tabular else self.image.shape)
        if axes == len(shape) - 2 or axes not in _TAKES:
            return
        hint = f" Add the batch axis with tensor[None] if it is one {_ONE[axes]}." if len(shape) == axes + 1 else ""
        raise BadOption(
            f"Expected a float tensor {_TAKES[axes]} for {self.model.name}, whose convolutions run along "
            f"{axes} {'axis' if axes == 1 else 'axes'}, got {shape} of {self.image.dtype}.{hint}"
        )


def first_operation(model: Model, image: Tensor) -> tuple[str, bool]:
    """What a network does first with an input that its weights take part in. Must run inside `guarded`.

    Args:
        model: any.
        image: an input `[batch, channel, *axes]` that it may or may not take.

    Returns:
        `convolution 1` (along so many axes), `recurrent`, `embedding`, or `linear 2`, for linear layers with the number
        of axes that what they are given has; "" if there is none of these. And whether the pass came to its end.
    """
    watched = _First()
    given = image[:1].detach().to(input_type(model, image), copy=True)
    try:
        with drawn_apart(), torch.no_grad(), watched:
            forward(model, given, torch.zeros(1, dtype=torch.int64, device=image.device))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return watched.seen, False
    return watched.seen, True


class _First(TorchFunctionMode):
    """Notes the first operation with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = ""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not self.seen:
            self.seen = _weighing(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


def _weighing(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The name of an operation with weights; "" of any other."""
    operator = called(func)
    x, weight = (kwargs.get(name, args[k] if k < len(args) else None) for k, name in enumerate(("input", "weight")))
    if operator in (op.CONVOLUTION, op.TRANSPOSED_CONVOLUTION) and isinstance(weight, Tensor):
        return f"convolution {weight.ndim - 2}"
    if operator in (op.LSTM, op.GRU, op.RNN, op.RNN_CELL):
        return "recurrent"
    if operator is op.EMBEDDING:
        return "embedding"
    return f"linear {x.ndim}" if operator is op.LINEAR and isinstance(x, Tensor) else ""
