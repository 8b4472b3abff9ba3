"""Checkpointed parts of a network run plainly: nothing is to be saved by running them again on the way back.

`torch.utils.checkpoint` keeps no values of a part and runs its forward code once more in the backward pass: outside of
every rewriting, with hooks called twice. In evaluation it is a leftover of a fine-tuning, so it is taken out of the way
of the threads that run passes; all others find it as it was.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from torch.utils import checkpoint

_GENERATORS = ("_checkpoint_without_reentrant_generator", "_checkpoint_without_reentrant_generator_impl")
_FUNCTION = "CheckpointFunction"
_originals: dict[str, Any] = {
    name: getattr(checkpoint, name) for name in (*_GENERATORS, _FUNCTION) if hasattr(checkpoint, name)
}
_lock = threading.Lock()
_users: Counter[int] = Counter()
"""How many passes each thread is in, one inside the other."""


class PlainCheckpoints:
    """Context manager: in this thread, what is checkpointed runs as if it were not."""

    def __enter__(self) -> None:
        with _lock:
            if not _users:
                for name, original in _originals.items():
                    setattr(checkpoint, name, _Function(original) if name == _FUNCTION else _around(original))
            _users[threading.get_ident()] += 1

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        with _lock:
            _users[threading.get_ident()] -= 1
            _users.__isub__(Counter())  # drops those at zero
            if not _users:
                for name, original in _originals.items():
                    setattr(checkpoint, name, original)


class _Function:
    """Stands for the autograd function of checkpoints that are reentrant."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def apply(self, function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        """Run the part."""
        if threading.get_ident() in _users:
            return function(*args)
        return self.original.apply(function, preserve, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


def _around(original: Callable[..., Any]) -> Callable[..., Any]:
    """What surrounds a part whose checkpoint is not reentrant: nothing before it, nothing behind it."""

    def around(*args: Any, **kwargs: Any) -> Iterator[None]:
        if threading.get_ident() in _users:
            yield
        else:
            yield from original(*args, **kwargs)

    return around
