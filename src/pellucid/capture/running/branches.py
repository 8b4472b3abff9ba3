"""Ways through a network that Python chooses by values of a batch: `if scores.max() > t`, early ends, loops.

Where all rows of a batch go one way, what a row gets depends on the others, though only for some values, so that rows
of a trial hardly show it. What Python reads does. A check is no choice: told the opposite, it raises, or nothing
changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

_ANSWERS = frozenset(["__bool__", "is_nonzero", "equal", "allclose"])
_NUMBERS = frozenset("item tolist numpy __float__ __int__ __index__ __complex__ __array__".split())  # noqa: SIM905
MOST = 8
"""Answers to turn round one by one; more are taken for choices."""


class Looks(TorchFunctionMode):
    """What Python reads, in a pass, of values that are made of some rows.

    Args:
        rows: what the network is given.
        opposite: the number of an answer that is turned round.

    Attributes:
        answers: how many yes-or-no questions were asked.
        numbers: True if numbers were read.
    """

    def __init__(self, rows: Tensor, opposite: int | None = None) -> None:
        super().__init__()
        self.answers, self.numbers, self._opposite = 0, False, opposite
        self._made: Any = WeakTensorKeyDictionary({rows: True})

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        made = any(isinstance(leaf, Tensor) and leaf in self._made for leaf in tree_leaves((args, kwargs)))
        result = func(*args, **kwargs)
        if not made:
            return result
        if name in _ANSWERS:
            self.answers += 1
            return not result if self.answers - 1 == self._opposite else result
        self.numbers |= name in _NUMBERS
        outputs = [args[0]] if name == "__setitem__" else tree_leaves(result)
        self._made.update((out, True) for out in outputs if isinstance(out, Tensor))
        return result
