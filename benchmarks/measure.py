"""Measuring: everything is a ratio of two things run in turn in one process, or of two whole processes."""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table: `ratio` is ours over theirs, or theirs over ours where `faster` is set."""

    what: str
    network: str
    batch: int
    ours: float
    theirs: float
    unit: str
    against: str
    ratio: float
    bar: str
    met: bool | None

    def json(self) -> dict[str, object]:
        """As it is kept."""
        return asdict(self)

    def line(self) -> str:
        """As a line of the table."""
        met = "" if self.met is None else "yes" if self.met else "**no**"
        cells = self.what, self.network, self.batch, self.against, self._show(self.ours), self._show(self.theirs)
        return f"| {' | '.join(map(str, cells))} | {self.ratio:.3g} | {self.bar} | {met} |"

    def _show(self, value: float) -> str:
        if self.unit == "B":
            return f"{value / 2**20:.0f} MiB"
        if not self.unit:
            return f"{value:.2g}"
        return f"{value * 1e3:.1f} ms" if value < 10 else f"{value:.1f} s"


def in_turn(ours: Callable[[], object], theirs: Callable[[], object], runs: int = 9) -> tuple[float, float, float]:
    """Median seconds of both, and of the ratios ours / theirs pair by pair; a single run is not warmed up."""
    pairs = []
    if runs > 1:
        ours(), theirs()
    gc.collect()
    for _ in range(runs):
        pairs.append((in_seconds(ours), in_seconds(theirs)))
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def lower_quartiles(runs: Sequence[Callable[[], object]], count: int) -> list[float]:
    """Seconds of each, run in turn `count` times after two that do not count.

    A quarter of the runs is quicker: what others do on the machine makes runs slower only, by more than a small
    difference that is looked for.
    """
    for run in (*runs, *runs):
        run()
    gc.collect()
    rounds = [[in_seconds(run) for run in runs] for _ in range(count)]
    return [statistics.quantiles(each, n=4)[0] for each in zip(*rounds, strict=True)]


def in_seconds(run: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def at_most(what: str, network: str, batch: int, against: str, timed: tuple[float, float, float], bar: float) -> Row:
    """A row whose bar is "ours takes at most `bar` times as long"."""
    ours, theirs, ratio = timed
    return Row(what, network, batch, ours, theirs, "s", against, ratio, f"<= {bar:g} x", ratio <= bar)


def reported(what: str, network: str, batch: int, against: str, timed: tuple[float, float, float]) -> Row:
    """A row without a bar: how many times as fast ours is."""
    ours, theirs, ratio = timed
    return Row(what, network, batch, ours, theirs, "s", against, 1 / ratio, "reported", None)


def faster(what: str, network: str, batch: int, against: str, timed: tuple[float, float, float], bar: float) -> Row:
    """A row whose bar is "ours is at least `bar` times as fast"."""
    ours, theirs, ratio = timed
    return Row(what, network, batch, ours, theirs, "s", against, 1 / ratio, f">= {bar:g} x faster", 1 / ratio >= bar)


def number_at_most(what: str, network: str, batch: int, against: str, value: float, bar: float) -> Row:
    """A row about a number that is no time, such as a difference."""
    return Row(what, network, batch, value, 0.0, "", against, value, f"<= {bar:g}", value <= bar)


def processes(ours: list[str], theirs: list[str], runs: int = 7) -> tuple[float, float, float]:
    """Whole processes in turn: median wall seconds and the median ratio."""

    def run(command: list[str]) -> Callable[[], object]:
        return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return in_turn(run(ours), run(theirs), runs)


def peak_bytes(code: str) -> int:
    """Peak memory of a fresh Python process that runs `code`, beyond what it had when `code` said `READY()`.

    The code must call `READY()` once everything is loaded; the default allocator is used, as kept memory would hide
    what is really needed. Linux only: the process's own high-water mark, reset at `READY()`. (`ru_maxrss` will not do:
    a child inherits its parent's.)
    """
    frame = (
        "def _kib(name):\n"
        "    line = next(l for l in open('/proc/self/status') if l.startswith(name))\n"
        "    return int(line.split()[1])\n"
        "def READY():\n"
        "    global base; open('/proc/self/clear_refs', 'w').write('5'); base = _kib('VmRSS')\n"
        f"{code}\n"
        "print((_kib('VmHWM') - base) * 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", frame], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])
