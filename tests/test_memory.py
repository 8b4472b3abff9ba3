"""Freed memory goes back to the system, or stays, as the process was told; measured in processes of their own."""

import os
import subprocess
import sys

import pytest

HOLES = """
from pellucid import memory
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) // 1024
{first}
blocks = [bytearray(100_000) for _ in range(5_000)]
full = resident()
last = blocks.pop()  # on top of the heap, so that what is freed below it stays
del blocks
memory.return_freed_memory()
print(full - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
@pytest.mark.parametrize(
    ("first", "environment", "least", "most"),
    [
        ("", {}, 400, 600),
        ("memory.keep_freed_memory()", {}, -5, 50),
        ("memory.keep_freed_memory(configure=False)", {}, -5, 50),
        ("", {"MALLOC_TOP_PAD_": "4096"}, -5, 50),
        ("", {"GLIBC_TUNABLES": "glibc.malloc.top_pad=4096"}, -5, 50),
    ],
)
def test_what_lies_idle_is_returned_unless_it_shall_be_kept(first, environment, least, most):
    """500 MB in 5,000 blocks; the settings of the environment say how memory grows and would not keep it themselves."""
    code = HOLES.format(first=first)
    named = os.environ | environment
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=named)
    assert least <= int(done.stdout) <= most


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_a_little_may_lie_idle():
    code = HOLES.format(first="").replace("5_000", "500")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 50


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_work_that_comes_again_keeps_what_it_took_the_last_time_and_no_more():
    """Work of one size is met by what it left; the first of its size, and one that leaves more, return it."""
    code = """
from pellucid import memory
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) // 1024
def work(count):
    blocks = [bytearray(100_000) for _ in range(count)]
    full = resident()
    kept.append(blocks.pop())
    del blocks
    memory.return_freed_memory(may_come_again=True)
    return full - resident()
kept = []
print([work(count) > 50 for count in (2_000, 2_000, 2_000, 4_000, 4_000, 2_000, 4_000)])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str([True, False, False, True, False, False, False])
