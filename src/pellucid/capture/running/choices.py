"""Choices that Python makes by values of the picture: `if x[i] > 0`, loops over `tolist()`.

No call and no graph tells of them. What a choice does is seen by making it wrongly: another picture goes through the
network once by itself and once with the answers that Python got for the first picture. Where the gradient at the values
that were looked at differs, their way through the network was chosen by themselves, as an activation does. Checks,
scalings by the largest value, and experts that are chosen by an order leave it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from pellucid.capture.operators import Operator, called, depends, of, op

_READERS = frozenset(
    """
    item tolist numpy is_nonzero equal allclose
    __bool__ __float__ __int__ __index__ __complex__ __array__ __contains__
    """.split()  # noqa: SIM905
)
_OF_MANY = frozenset(of(kinds=("reductions", "norms")))
_PER_PLACE = frozenset(of("elementwise", kinds=("moving", "arithmetic")))
_APART = 1e-4
"""Relative: far more than rounding, far less than a value that goes another way."""


@dataclass(frozen=True)
class _Read:
    """One look of Python at values.

    Attributes:
        what: the call, how many axes it looked at, and the numbers of the layers' values that this was made of.
        answer: what Python got.
    """

    what: tuple[Any, ...]
    answer: Any


class Reads(TorchFunctionMode):
    """Writes down what Python reads of single values; not of what sums up a whole picture, such as its maximum.

    Args:
        before: reads of another pass, whose answers Python gets as long as it asks the same.
    """

    def __init__(self, before: Sequence[_Read] = ()) -> None:
        super().__init__()
        self.seen: list[_Read] = []
        self.edges: list[GradientEdge] = []
        self._before = before
        self._same = True
        self._made: Any = WeakTensorKeyDictionary()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        made = frozenset[int]().union(*map(self._of, given))
        result = func(*args, **kwargs)
        if name in _READERS:
            return self._answer((name, given[0].ndim, made), result) if made else result
        result = list(result) if name == "__iter__" else result
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if outputs or name == "__setitem__":
            self._note(called(func), outputs or given[:1], made)
        return iter(result) if name == "__iter__" else result

    def _answer(self, what: tuple[Any, ...], answer: Any) -> Any:
        place = len(self.seen)
        self.seen.append(_Read(what, answer.copy() if hasattr(answer, "copy") else answer))
        self._same = self._same and place < len(self._before) and self._before[place].what == what
        if not self._same:
            return answer
        kept = self._before[place].answer
        return kept.copy() if hasattr(kept, "copy") else kept

    def _of(self, tensor: Tensor) -> frozenset[int]:
        """Which layers' values a tensor is made of, place by place; none where it does not depend on the picture."""
        made: frozenset[int] | None = self._made.get(tensor)
        if made is None:
            made = self._made[tensor] = self._new(tensor) if depends(tensor) else frozenset()
        return made

    def _new(self, tensor: Tensor) -> frozenset[int]:
        self.edges.append(get_gradient_edge(tensor))
        return frozenset([len(self.edges) - 1])

    def _note(self, operator: Operator | None, outputs: Iterable[Tensor], made: frozenset[int]) -> None:
        for out in outputs:
            if out in self._made and made <= self._made[out]:
                continue
            if not depends(out):  # a mask, or what was detached
                apart = operator is not None and operator not in _PER_PLACE
                self._made[out] = frozenset() if apart else made
            elif made and (operator is None or operator in _PER_PLACE):
                self._made[out] = made
            elif operator in _OF_MANY - {op.SUM} and out.numel() == 1:
                self._made[out] = frozenset()
            else:
                self._made[out] = self._new(out)


def choosing(own: Reads, told: Reads, scores: tuple[Any, Any]) -> bool:
    """Whether values that were read go another way when Python is told other answers.

    Args:
        own: a pass over a picture, with Python's own answers.
        told: a pass over the same picture with the answers of another one.
        scores: what both passes gave.
    """
    read: set[int] = set()
    for a, b in zip(own.seen, told.seen, strict=False):
        if a.what != b.what:
            break
        read |= a.what[-1]
    numbers = sorted(read)
    here, there = (
        _gradients(output, [each.edges[k] for k in numbers]) for output, each in zip(scores, (own, told), strict=True)
    )
    return any(map(_differ, here, there))


def _gradients(output: Any, edges: Sequence[GradientEdge]) -> Sequence[Tensor | None]:
    parts = [leaf for leaf in tree_leaves(output) if depends(leaf)]
    generator = torch.Generator().manual_seed(0)
    weights = (torch.rand(part.shape, generator=generator).to(part) for part in parts)
    if not parts or not edges:
        return [None] * len(edges)
    with torch.enable_grad():
        total = torch.stack([(part * weight).sum() for part, weight in zip(parts, weights, strict=True)]).sum()
    found: Sequence[Tensor | None] = torch.autograd.grad(total, edges, allow_unused=True)
    return found


def _differ(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return any(t is not None and bool(t.any()) for t in (a, b))
    return a.shape == b.shape and bool(((a - b).abs() > _APART * torch.maximum(a.abs(), b.abs()).amax()).any())
