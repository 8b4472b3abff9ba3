"""Which pixels each value inside a network can depend on, followed operation by operation through one forward pass.

Every value has a *box*: for each axis of the picture the first and the last pixel that it can depend on. A box on n
axes is 2 n numbers, the first pixels and then the last ones negated, so that the box around several boxes is their
minimum and a value that depends on nothing has infinity throughout. The rules for single operations are in
`reach_rules.py`.

Boxes belong to blocks of memory, not to tensors: whatever views a network takes and whatever it writes in place, two
tensors that share memory share boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pellucid.capture.receptive.rules import Doubt, OperatorCall, box_around, join, rule_for

_READ_BY_PYTHON = frozenset({"_local_scalar_dense", "equal", "is_nonzero"})


_weakly: Any = StorageWeakRef  # asks whether a block of memory still exists, without keeping it
_Shape = tuple[tuple[int, ...], tuple[int, ...], int]  # sizes, strides and offset of a tensor


@dataclass
class _Block:
    """The boxes of all values in one block of memory, as a tensor of one of the shapes in which it was used."""

    memory: Any
    shape: _Shape
    boxes: Tensor
    item: int
    doubts: frozenset[Doubt]


class Reach(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows boxes through everything that runs inside it. Must run inside `guarded`, without grad.

    Args:
        image: the very tensor that the network is given, `[1, channel, *pixels]`; one to three axes of pixels.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pixels = tuple(image.shape[2:])
        self._blocks: dict[int, _Block] = {}
        self._everywhere: frozenset[Doubt] = frozenset()
        self._start(image)

    def _start(self, image: Tensor) -> None:
        """Let every value of an image be at its own pixel."""
        grid = torch.meshgrid(*(torch.arange(float(n), device=image.device) for n in self.pixels), indexing="ij")
        first = torch.stack(grid)
        self._remember(image, torch.cat([first, -first])[:, None, None].expand(-1, *image.shape), frozenset())

    def boxes(self, tensor: Tensor) -> Tensor | None:
        """The boxes of a tensor's values as they are now, `[2 n, *tensor.shape]`; None if all of them are constants."""
        block = self._find(tensor)
        return None if block is None else self._read(block, tensor)

    def doubts(self, tensor: Tensor) -> frozenset[Doubt]:
        """Why the boxes may be too large, or the pixels may change with the picture."""
        block = self._find(tensor)
        return self._everywhere | (block.doubts if block else frozenset())

    def rule(self, call: OperatorCall) -> tuple[Tensor | None, frozenset[Doubt]]:
        """Boxes of an operation's first result, None if it is a constant; and new doubts about them."""
        return rule_for(call)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would import its compiler, which takes seconds; nothing is compiled inside of `guarded`

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and note what its results depend on."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        given = _by_name(func, args, kwargs)
        tensors = [t for t in tree_leaves(given) if isinstance(t, Tensor)]
        blocks = [block for t in tensors if (block := self._find(t))]
        if blocks and torch.Tag.inplace_view not in func.tags:
            self._follow(func, given, tensors, blocks, out)
        return out

    def _follow(
        self, func: Any, given: Mapping[str, Any], tensors: list[Tensor], blocks: list[_Block], out: Any
    ) -> None:
        call = OperatorCall(func, given, out, self.boxes)
        if call.name in _READ_BY_PYTHON:
            self._everywhere |= {Doubt("data", "Python code reads a value and may act on it")}
        doubts = self._everywhere.union(*(block.doubts for block in blocks))
        written = [t for name in _written(func) for t in tree_leaves(given[name]) if isinstance(t, Tensor)]
        results = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        shared = {_address(t) for t in tensors}
        fresh = [t for t in results if _address(t) not in shared]
        if not written and not fresh:
            return  # views, and the operand itself
        found, more = self.rule(call)
        if found is None:
            return  # depends on the shape only
        whole = None
        for tensor in {id(t): t for t in (*written, *fresh)}.values():
            boxes = found
            if tensor.shape != (results or written)[0].shape:
                whole = box_around(call.tracked()) if whole is None else whole
                boxes = whole.reshape(-1, *[1] * tensor.ndim)
            boxes = boxes.reshape(len(boxes), *[1] * (tensor.ndim + 1 - boxes.ndim), *boxes.shape[1:])
            self._remember(tensor, boxes.expand(-1, *tensor.shape).to(tensor.device), doubts | more)

    def _find(self, tensor: Tensor) -> _Block | None:
        block = self._blocks.get(_address(tensor))
        return None if block is None or block.memory.expired() else block

    def _read(self, block: _Block, tensor: Tensor) -> Tensor:
        shape = _shape(tensor)
        if block.shape == shape and block.item == tensor.element_size():
            return block.boxes
        if block.item == tensor.element_size() and (seen := _seen_through(block, shape)) is not None:
            return seen
        count = self._lay_flat(block, tensor)
        if block.item != tensor.element_size() or _last(shape) >= count:  # the same bytes read as another type
            return box_around(block.boxes).reshape(-1, *[1] * tensor.ndim).expand(-1, *tensor.shape)
        return block.boxes.as_strided((len(block.boxes), *shape[0]), (count, *shape[1]), shape[2])

    def _lay_flat(self, block: _Block, tensor: Tensor) -> int:
        """Keep the boxes in the order of the memory; returns how many there are."""
        count = tensor.untyped_storage().nbytes() // block.item
        if block.shape != ((count,), (1,), 0) or not block.boxes.is_contiguous():
            size, stride, offset = block.shape
            flat = block.boxes.new_full((len(block.boxes), count), torch.inf)
            flat.as_strided((len(flat), *size), (count, *stride), offset).copy_(block.boxes)
            block.boxes, block.shape = flat, ((count,), (1,), 0)
        return count

    def _remember(self, tensor: Tensor, boxes: Tensor, doubts: frozenset[Doubt]) -> None:
        for address in [a for a, block in self._blocks.items() if block.memory.expired()]:
            del self._blocks[address]
        block, shape, item = self._find(tensor), _shape(tensor), tensor.element_size()
        if block is None and tensor.untyped_storage().nbytes() > tensor.numel() * item:
            block = self._blocks[_address(tensor)] = _Block(  # a part of some constant block is written to
                _weakly(tensor.untyped_storage()), ((0,), (1,), 0), boxes.new_zeros(len(boxes), 0), item, doubts
            )
        if block is None or (block.shape == shape and block.item == item):
            memory = _weakly(tensor.untyped_storage())
            self._blocks[_address(tensor)] = _Block(memory, shape, boxes, item, doubts)
            return
        block.doubts |= doubts
        count = self._lay_flat(block, tensor)
        if block.item != item or _last(shape) >= count:
            block.boxes = join([block.boxes, box_around(boxes)[:, None]]).expand_as(block.boxes).clone()
        else:
            block.boxes.as_strided((len(boxes), *shape[0]), (count, *shape[1]), shape[2]).copy_(boxes)


def _seen_through(block: _Block, view: _Shape) -> Tensor | None:
    """The boxes of a view of a block, without laying them flat; None where the view cuts across the block's axes.

    Most boxes do not change along channels and are kept once for all of them, which a copy would spread out.
    """
    size, stride, offset = block.shape
    axes = sorted(((s, n, b) for n, s, b in zip(size, stride, block.boxes.stride()[1:], strict=True) if n > 1))
    if not axes or offset:
        return None
    merged: list[tuple[int, int, int]] = []  # stride and length of an axis in memory, and its stride in the boxes
    reach = 1
    for s, n, b in axes:
        if s != reach:
            return None  # the block has gaps
        reach *= n
        if merged and b == merged[-1][2] * merged[-1][1]:
            merged[-1] = (merged[-1][0], merged[-1][1] * n, merged[-1][2])
        else:
            merged.append((s, n, b))
    used, strides = [0] * len(merged), []
    for n, s in zip(view[0], view[1], strict=True):
        k = max((k for k, axis in enumerate(merged) if axis[0] <= s), default=0)
        if n > 1 and s % merged[k][0]:
            return None
        step = s // merged[k][0] if n > 1 else 0
        used[k] += (n - 1) * step
        strides.append(step * merged[k][2])
    start = 0
    for k, (s, n, b) in reversed(list(enumerate(merged))):
        first = view[2] // s % n
        if first + used[k] >= n:
            return None
        start += first * b
    if view[2] >= reach:
        return None
    boxes = block.boxes
    return boxes.as_strided((len(boxes), *view[0]), (boxes.stride(0), *strides), boxes.storage_offset() + start)


def _by_name(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments of a call, defaults included."""
    described = func._schema.arguments
    defaults = {a.name: a.default_value for a in described if a.has_default_value()}
    return {**defaults, **dict(zip((a.name for a in described), args, strict=False)), **kwargs}


def _written(func: Any) -> Iterator[str]:
    return (a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write)


def _address(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _shape(tensor: Tensor) -> _Shape:
    return tuple(tensor.shape), tuple(tensor.stride()), int(tensor.storage_offset())


def _last(shape: _Shape) -> int:
    size, stride, offset = shape
    return offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if all(size) else 0
