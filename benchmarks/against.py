"""This working tree against an earlier revision: `python -m benchmarks.against REVISION [--only PART] [--runs N]`.

The same calls, in turn, in two processes: one has the sources of the revision, one those of the working tree. A row
fails if all of the interval in which the median ratio lies, new over old, is above 1.05.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

_ROOT = Path(__file__).parent.parent
_BAR = 1.05
_OPTIONS = {"rise": {"masks": 64}, "lime": {"samples": 64}, "occlusion": {"window": 64, "stride": 32}}
_METHODS = ("grad-cam", "saliency", "guided-backprop", "integrated-gradients", "score-cam", *_OPTIONS)
_NETWORKS = ("efficientnet-lite0", "resnet18")
ROWS = tuple(f"{method} {network}" for network in _NETWORKS for method in _METHODS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", help="that has the old sources, as git names it")
    parser.add_argument("--only", default="", help="run the rows whose name contains this")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    print("| row | old | new | new / old | interval | met |\n|---|---|---|---|---|---|")
    met = True
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["git", "archive", options.revision, "src"], cwd=_ROOT, check=True, capture_output=True)
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
            files.extractall(folder, filter="data")
        old, new = (_Side(Path(sources) / "src") for sources in (folder, _ROOT))
        for row in (row for row in ROWS if options.only in row):
            pairs = [(old.seconds(row), new.seconds(row)) for _ in range(options.runs + 1)][1:]
            low, middle, high = _interval([after / before for before, after in pairs])
            met &= low <= _BAR
            times = " | ".join(f"{median(times) * 1e3:.1f} ms" for times in zip(*pairs, strict=True))
            print(f"| {row} | {times} | {middle:.3f} | {low:.3f} to {high:.3f} | {low <= _BAR} |", flush=True)
        for side in (old, new):
            side.end()
    sys.exit(not met)


class _Side:
    """A process with its own sources, which is given the name of a row and answers by its seconds."""

    def __init__(self, sources: Path) -> None:
        named = os.environ | {"PYTHONPATH": f"{sources}{os.pathsep}{_ROOT}"}
        command = [sys.executable, "-P", "-m", "benchmarks.against_worker"]
        self.process = subprocess.Popen(
            command, env=named, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=sources
        )

    def seconds(self, row: str) -> float:
        """Of one run."""
        assert self.process.stdin
        assert self.process.stdout
        print(row, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def end(self) -> None:
        """Let the process go."""
        self.process.communicate()


def _interval(ratios: list[float]) -> tuple[float, float, float]:
    """The median and the ends of its interval of about 95 %, which are ratios that were met (sign test)."""
    ordered, count = sorted(ratios), len(ratios)
    outside = max(0, round(count / 2 - 0.98 * count**0.5) - 1)
    return ordered[outside], median(ordered), ordered[count - 1 - outside]


def calls() -> dict[str, Callable[[], object]]:
    """The call of each row, with whatever sources this process has; nothing that only one of them knows."""
    import torch

    import pellucid
    from benchmarks.networks import network

    torch.manual_seed(0)
    image = torch.randn(1, 3, 224, 224)
    models = {name: pellucid.wrap(network(name), name=name) for name in _NETWORKS}

    def call(row: str) -> Callable[[], object]:
        method, name = row.split()
        given = {method: _OPTIONS[method]} if method in _OPTIONS else None
        return lambda: pellucid.explain(models[name], image, method, target=3, options=given)

    return {row: call(row) for row in ROWS}


if __name__ == "__main__":
    main()
