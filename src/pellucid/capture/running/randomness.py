"""Randomness as data: a draw depends on the seed and the number of the sample, and on nothing else."""

from __future__ import annotations

import hashlib
import random
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from pellucid.capture.running.random_state import note_drawing

drawn_anew: weakref.WeakSet[nn.Module] = weakref.WeakSet()
"""Networks that draw random numbers; each of their passes begins at the same random state."""
_seed: ContextVar[int] = ContextVar("seed", default=0)


@contextmanager
def network_seed(seed: int) -> Iterator[None]:
    """Say which of the networks that a random one may be is meant; equal seeds mean the same one. 0 without."""
    token = _seed.set(seed)
    try:
        yield
    finally:
        _seed.reset(token)


@contextmanager
def drawn_freely(module: nn.Module) -> Iterator[None]:
    """Let a network draw on, from pass to pass, to see whether it does."""
    known = module in drawn_anew
    drawn_anew.discard(module)
    try:
        yield
    finally:
        if known:
            drawn_anew.add(module)


def begin_drawing(module: nn.Module) -> None:
    """Before each pass: if the network draws, it draws what it drew in the last one. Must run inside `guarded`."""
    if module not in drawn_anew:
        return
    note_drawing(("python", "numpy", "torch"))
    number = _seed_of(f"{_seed.get()}/network")
    random.seed(number)
    torch.manual_seed(number)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(number)


def _seed_of(text: str) -> int:
    # torch's CPU generator reads 32 bits of its seed; a hash puts every digit of the text into them
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


class Draws:
    """Random numbers by (seed, number), so that chunking, batching and the order of work never change a result.

    All pictures of a batch get the same draws: a picture explained alone and in a batch gives the same map.
    Drawn on the CPU, so that a seed means the same on every device.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def _generator(self, number: int) -> torch.Generator:
        return torch.Generator("cpu").manual_seed(_seed_of(f"{self.seed}/{number}"))

    def normal(self, numbers: Tensor, like: Tensor) -> Tensor:
        """Standard normal noise `[n, ...]` shaped as `like`'s rows, row i drawn for `numbers[i]`."""
        return self._stack(numbers, like, torch.randn)

    def uniform(self, numbers: Tensor, like: Tensor) -> Tensor:
        """Uniform numbers in [0, 1) `[n, ...]` shaped as `like`'s rows, row i drawn for `numbers[i]`."""
        return self._stack(numbers, like, torch.rand)

    def _stack(self, numbers: Tensor, like: Tensor, draw: Callable[..., Tensor]) -> Tensor:
        shape = like.shape[1:]
        kind = {"dtype": torch.float32, "device": "cpu"}  # whatever the process has for defaults
        drawn = {n: draw(shape, generator=self._generator(n), **kind) for n in set(numbers.tolist())}
        return torch.stack([drawn[n] for n in numbers.tolist()]).to(like.device, like.dtype)
