"""How many samples go through the network at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import torch

from pellucid.capture.running.company import questions_kept
from pellucid.errors import OutOfMemory
from pellucid.memory import return_freed_memory

T = TypeVar("T")
_CPU_ROWS = 32
"""More rows than this do not run faster on a CPU: its caches are full long before."""
_GPU_ROWS = 512
_CPU_BYTES = 2**27
"""Nor do more than 128 MiB at once, ..."""
_CPU_LEAST = 10
"""... unless that were fewer rows than these: with 3, convolutions choose kernels that take 1.2 to 1.4 times as long as
with 10 (forward and backward), and with more hardly quicker ones; measured on ResNet-50, VGG-16, EfficientNet-Lite0."""
_CPU_MOST = 3 * 2**28
"""Large pictures would take more than 1 GiB at once, and slower is better; estimates leave a quarter of it out."""


class Budget:
    """Chunk sizes that fit: estimated from what one sample takes, halved whenever memory runs out.

    Args:
        device: where the network runs.
        chunk: the number of samples at once, set by the user; None decides by memory.
    """

    def __init__(self, device: torch.device, chunk: int | None = None) -> None:
        self.device, self.chunk = device, chunk

    def free(self) -> int:
        """Bytes that the device has left."""
        return _free_bytes(self.device)

    def rows(self, bytes_per_row: int, most: int | None = None) -> int:
        """How many rows of this size to run at once; at most `most`, or as many as still make it faster."""
        if self.chunk is not None:
            return self.chunk
        per_row = max(bytes_per_row, 1)
        if most is None:
            enough = max(_CPU_LEAST, _CPU_BYTES // per_row)
            most = min(_CPU_ROWS, enough, _CPU_MOST // per_row) if self.device.type == "cpu" else _GPU_ROWS
        return max(1, min(most, int(self.free() // 2 // per_row)))

    def chunks(
        self, total: int, bytes_per_row: int, run: Callable[[int, int], T], most: int | None = None
    ) -> Iterator[T]:
        """Run `run(start, stop)` over 0..total in chunks that fit, and yield the results in order.

        The chunks are about equal: a small rest would run on slower kernels. Rows that turn out to influence each other
        are run again, one by one.

        Raises:
            OutOfMemory: a single row does not fit.
        """
        start, rows = 0, 1 if total == 1 else self.rows(bytes_per_row, most)
        while start < total:
            left = total - start
            stop = start + -(-left // -(-left // rows))
            try:
                with questions_kept() as questions:
                    result = run(start, stop)
                if any(mixed() for mixed in questions):
                    rows = self.chunk = 1
                    continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if stop - start == 1:
                    raise OutOfMemory(
                        f"Not even one sample fits into the memory of {self.device} ({bytes_per_row / 2**20:.0f} MiB "
                        "estimated). Use a smaller input, a smaller model or another device."
                    ) from error
                rows = self.chunk = (stop - start) // 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            if self.device.type == "cpu":
                return_freed_memory(may_come_again=stop - start == total)
            yield result
            start = stop


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that an allocation failed, on any device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - errors of the network's own may be anything
        return False
    return "can't allocate memory" in text or "out of memory" in text or "not enough memory" in text


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    with suppress(OSError, StopIteration):  # on Linux: what is free, and what caches of files would make room for
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 2**31
