"""One of the two processes of `benchmarks.against`: reads names of rows, and writes the seconds of each."""

from __future__ import annotations

import sys

from benchmarks.against import calls
from benchmarks.measure import in_seconds

if __name__ == "__main__":
    known = calls()
    for line in sys.stdin:
        print(in_seconds(known[line.strip()]), flush=True)
