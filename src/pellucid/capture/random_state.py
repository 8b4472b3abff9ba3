"""The random state of Python, NumPy and torch: the process's own, put back when a network has drawn from it."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class RandomState:
    """The state as it is now.

    Args:
        parameters: of the network; the state of the CUDA devices that they lie on is kept too.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.thread = threading.get_ident()
        self.python = random.getstate()
        numpy = sys.modules.get("numpy")
        self.numpy: Any = numpy.random.get_state() if numpy else None
        self.cpu = torch.get_rng_state()
        self.cuda = {device: torch.cuda.get_rng_state(device) for device in {p.device for p in parameters if p.is_cuda}}

    def put_back(self) -> None:
        """As it was, where it has changed."""
        if random.getstate() != self.python:
            random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)
        if not torch.equal(torch.get_rng_state(), self.cpu):
            torch.set_rng_state(self.cpu)
        for device, state in self.cuda.items():
            torch.cuda.set_rng_state(state, device)
