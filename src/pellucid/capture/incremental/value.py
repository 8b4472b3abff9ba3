"""`IncrementalTensor`: the values of many variants of one input at one place, told by where they differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pellucid.capture.incremental.kernels import Convolution, Sides
from pellucid.capture.incremental.spans import Interval, Places, Spans


class RunsOperations(Protocol):
    """What a value knows of the pass that it belongs to.

    Attributes:
        last: True if the network bears values whose memory is channels last.
    """

    last: bool

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Carry out one operation, box by box if there is a rule."""


class NotLocal(BaseException):
    """The network does what cannot be followed box by box; a BaseException so that no network catches it."""


class Baseline:
    """The unchanged input's value at one place, `[1, ...]`, computed when it is first asked for."""

    def __init__(self, make: Callable[[], Tensor], keep: Callable[[Tensor], None] | None = None) -> None:
        self._make: Callable[[], Tensor] | None = make
        self._keep = keep
        self._value: Tensor | None = None

    def get(self) -> Tensor:
        """The value; not to be written to."""
        if self._value is None:
            if self._make is None:
                raise RuntimeError("the value was being computed when it was asked for")
            self._value, self._make = self._make(), None
            if self._keep:
                self._keep(self._value)
        return self._value


@dataclass(frozen=True, eq=False)
class Deferred:
    """A convolution that has not been carried out yet, as what follows may become a part of it.

    Attributes:
        kernel: what to do.
        maps, around: with which values, and which padding.
        still, sides: the unchanged picture's values before it, and their padding.
        shape: of the result.
        base: where `maps` are differences from the unchanged picture's values, what these become before the activation.
        spans: where the boxes of the result lie.
    """

    kernel: Convolution
    maps: Tensor
    around: Sides
    still: Baseline
    sides: Sides
    shape: torch.Size
    base: Baseline | None
    spans: Spans

    @property
    def dtype(self) -> torch.dtype:
        """Of the result."""
        return self.maps.dtype if self.base is None else self.kernel.weight.dtype

    @property
    def device(self) -> torch.device:
        """Of the result."""
        return self.maps.device

    @property
    def nbytes(self) -> int:
        """Of the result."""
        return self.shape.numel() * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def compute(self) -> Tensor:
        """Carry it out."""
        if self.base is None:
            return self.kernel(self.maps, self.around)
        change, base = self.kernel.change(self.maps, self.around), self.base.get()
        if all(span.is_whole for span in self.spans):
            found = base + change
        else:
            axes = tuple(range(2, base.ndim))
            found = cut(base, axes, [s.first for s in self.spans], [s.size for s in self.spans]).add_(change)
        return self.kernel.after.function(found) if self.kernel.after else found


class IncrementalTensor(Tensor):
    """Values `[n, ...]` with spatial axes, told by those of the unchanged input and one box per variant.

    Attributes:
        run: the pass that it belongs to.
        still: the unchanged input's values.
        held: values in the boxes, `[n, ...]`, or how to get them; every value in a box is right, whether it differs or
            not.
        axes: which axes are spatial, in the order of the input's.
        spans: where the boxes lie along each of them.
        step: number of the entry in the pass's log that says how the boxes came about.
        aliased: True if another value shares memory with this one, so that writing into it cannot be followed.
        part: True if this is a copy of places of another value, where the network sees the same memory: likewise.
    """

    run: RunsOperations
    still: Baseline
    held: Tensor | Deferred
    axes: tuple[int, ...]
    spans: Spans
    step: int
    aliased: bool
    part: bool

    @staticmethod
    def __new__(  # noqa: D102
        cls: type[IncrementalTensor],
        run: RunsOperations,
        still: Baseline,
        patch: Tensor | Deferred,
        axes: tuple[int, ...],
        spans: Spans,
        step: int,
        *,
        aliased: bool = False,
    ) -> IncrementalTensor:
        shape = list(patch.shape)
        for axis, span in zip(axes, spans, strict=True):
            shape[axis] = span.length
        value: IncrementalTensor = Tensor._make_wrapper_subclass(cls, shape, dtype=patch.dtype, device=patch.device)
        value.run, value.aliased, value.part = run, aliased, False
        value.set(still, patch, axes, spans, step)
        return value

    def set(
        self,
        still: Baseline,
        patch: Tensor | Deferred,
        axes: tuple[int, ...],
        spans: Spans,
        step: int,
    ) -> None:
        """Take on another value."""
        self.still, self.held, self.axes, self.spans, self.step = still, patch, axes, spans, step

    @property
    def patch(self) -> Tensor:
        """Values in the boxes, `[n, ...]`."""
        if isinstance(self.held, Deferred):
            self.held = self.held.compute()
        return self.held

    @property
    def is_whole(self) -> bool:
        """Whether the boxes are the whole map, so that the unchanged values no longer matter."""
        return all(span.is_whole for span in self.spans)

    @property
    def on_maps(self) -> bool:
        """Whether the axes are those of maps, `[n, channel, *axes]`."""
        return self.axes == tuple(range(2, self.ndim))

    def dense(self) -> Tensor:
        """All values as an ordinary tensor, which from now on is this value's own memory."""
        if not self.is_whole:
            whole = tuple(Interval.whole(self.shape[0], span.length) for span in self.spans)
            self.held, self.spans = at(self, whole), whole
        if not self.run.last and self.on_maps:  # convolutions run channels last here, whatever they were given
            self.held = self.patch.contiguous()
        return self.patch

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Hand every call that involves such a value to the pass that it belongs to."""
        if func in _ABOUT:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        value = find((args, *(kwargs or {}).values()))
        if value is None:
            raise NotLocal(f"{getattr(func, '__name__', func)} takes values from deep inside its arguments")
        return value.run.call(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any) -> Any:
        """Whatever reaches the tensor past Python (compiled parts, custom gradients) cannot be followed."""
        raise NotLocal(f"{func} runs outside Python")


# Questions about a tensor that its shape answers.
_ABOUT = frozenset(
    {
        *(getattr(Tensor, name).__get__ for name in (
            "shape", "device", "dtype", "ndim", "layout", "is_cuda", "requires_grad", "is_sparse", "is_quantized",
            "is_meta", "is_mkldnn", "grad_fn", "is_leaf", "is_nested", "is_mps", "is_xpu",
        )),
        Tensor.size, Tensor.dim, Tensor.numel, Tensor.nelement, Tensor.is_floating_point, Tensor.is_complex,
        Tensor.ndimension, Tensor.element_size, Tensor.__len__, Tensor.get_device, Tensor.is_signed,
        torch.is_floating_point, torch.is_complex, torch.numel,
    }
)  # fmt: skip


def find(items: Any) -> IncrementalTensor | None:
    """The first such value among arguments, also in lists and tuples."""
    for item in items:
        if isinstance(item, IncrementalTensor):
            return item
        if isinstance(item, (list, tuple)) and (found := find(item)) is not None:
            return found
    return None


def at(value: IncrementalTensor, spans: Spans) -> Tensor:
    """The values in other boxes, which must hold the present ones; the present tensor itself if they are the same."""
    if all(_same(old, new) for old, new in zip(value.spans, spans, strict=True)):
        return value.patch
    window = cut(value.still.get(), value.axes, [span.first for span in spans], [span.size for span in spans])
    paste(value, window, [span.first for span in spans])
    return window


def _same(old: Interval, new: Interval) -> bool:
    return old is new or (old.size == new.size and bool((old.first == new.first).all()))


def cut(source: Tensor, axes: tuple[int, ...], first: Sequence[Places], size: Sequence[int]) -> Tensor:
    """Copies of boxes of one size out of `[1, ...]`: `[n, ...]`, in the order of memory of the source.

    Lines of memory are copied whole: the source is seen as a list of overlapping boxes, one for each place.
    """
    if axes == tuple(range(2, source.ndim)) and not source[0].movedim(0, -1).is_contiguous():
        return _cut_planes(source, first, size)
    order = [*axes, *(a for a in range(1, source.ndim) if a not in axes)]
    flat = source[0].permute([a - 1 for a in order])
    if not flat.is_contiguous():
        flat = flat.contiguous()
    lengths = flat.shape[: len(axes)]
    depth = flat.shape[len(axes) :].numel()
    places = [math.prod(lengths[k + 1 :]) for k in range(len(axes))]
    most = sum((length - s) * p for length, s, p in zip(lengths, size, places, strict=True)) + 1
    boxes = flat.as_strided((most, *size[:-1], size[-1] * depth), (depth, *(p * depth for p in places[:-1]), 1))
    index = torch.from_numpy(sum(f * p for f, p in zip(first, places, strict=True))).to(source.device)
    found = boxes.index_select(0, index).reshape(len(index), *size, *flat.shape[len(axes) :])
    return found.permute([0, *(1 + order.index(a) for a in range(1, source.ndim))])


def _cut_planes(source: Tensor, first: Sequence[Places], size: Sequence[int]) -> Tensor:
    """The same for the usual order of memory, in which every channel is a block of its own."""
    windows = source[0]
    for axis, held in enumerate(size, start=1):
        windows = windows.unfold(axis, held, 1)
    index: tuple[Any, ...] = (slice(None), *(torch.from_numpy(f).to(source.device) for f in first))
    return windows[index].transpose(0, 1).contiguous()


def paste(value: IncrementalTensor, window: Tensor, corner: Sequence[Places], held: Tensor | None = None) -> None:
    """Write the boxes into windows that begin at the places `corner`; what falls outside a window is left out.

    What is written are the value's own numbers, or others that are `held` in the same boxes.
    """
    held = value.patch if held is None else held
    shifts = np.stack([span.first - place for span, place in zip(value.spans, corner, strict=True)])
    edges = np.flatnonzero(np.diff(shifts).any(0)) + 1
    for begin, end in zip([0, *edges.tolist()], [*edges.tolist(), shifts.shape[1]], strict=True):
        _paste_some(held, value.axes, window, slice(begin, end), shifts[:, begin].tolist())


def _paste_some(held: Tensor, axes: tuple[int, ...], window: Tensor, some: slice, shift: Sequence[int]) -> None:
    inside: list[slice] = [some] + [slice(None)] * (window.ndim - 1)
    taken = list(inside)
    for axis, move in zip(axes, shift, strict=True):
        begin, end = max(move, 0), min(move + held.shape[axis], window.shape[axis])
        if begin >= end:
            return
        inside[axis], taken[axis] = slice(begin, end), slice(begin - move, end - move)
    window[tuple(inside)] = held[tuple(taken)]
