"""Dreams: steps against lucent in an environment of its own, sheets against single pictures, ten classes."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import torch

import pellucid
from benchmarks.measure import Row, faster, in_seconds
from benchmarks.networks import network
from pellucid.feature_visualisation.optimise import RESCUED_STEPS

PEER = "lucent 0.1.8"
BARS = {
    "features.1": ("first", 6.0),
    "features.5": ("early", 6.0),
    "features.14": ("middle", 1.8),
    "features.28": ("late", 1.3),
}
CLASSES = {
    1: "goldfish", 76: "tarantula", 99: "goose", 107: "jellyfish", 340: "zebra", 388: "giant panda", 779: "school bus",
    949: "strawberry", 980: "volcano", 985: "daisy",
}  # fmt: skip
UNITS, SIDE, STEPS = 64, 64, 32
_NEEDED = (["--no-deps", "torch-lucent==0.1.8", "kornia==0.4.1"], ["decorator", "future", "ipython", "tqdm"])


def against_lucent(device: str) -> Iterator[Row]:
    """Seconds of a step on VGG-16: the same network, spectrum, objective and optimiser, no transforms."""
    if device != "cpu":
        return  # lucent chooses its device at import
    place = Path(tempfile.gettempdir()) / "pellucid-bench-lucent"
    why = _set_up(place)
    if why:
        print(f"skipped: {PEER} could not be set up: {why}", flush=True)
        return
    ran = _python(place, "from benchmarks.dreams import steps_in_turn; steps_in_turn()")
    if ran.returncode:
        print(f"skipped: {PEER} did not run: {ran.stderr.strip().splitlines()[-1]}", flush=True)
        return
    for layer, found in json.loads(ran.stdout.splitlines()[-1]).items():
        where, bar = BARS[layer]
        ours, theirs, ratio, *left = found
        yield faster(f"a step of a dream, {where} layer", "vgg16", 1, PEER, (ours, theirs, ratio), bar)
        what = "hooks and gradients left", "vgg16", 1, float(left[0]), float(left[1]), "", f"{PEER}, {where}"
        yield Row(*what, float(left[0]), "0", left[0] == 0)


def _set_up(place: Path) -> str:
    """Install the peer beside what is there; what went wrong, or nothing."""
    if not (place / "ready").exists():
        for packages in _NEEDED:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), *packages]
            ran = subprocess.run(command, check=False, capture_output=True, text=True)
            if ran.returncode:
                return (ran.stderr.strip().splitlines() or ["pip failed"])[-1]
        (place / "ready").touch()
    ran = _python(place, "import lucent.optvis.render")
    return ran.stderr.strip().splitlines()[-1] if ran.returncode else ""


def _python(place: Path, code: str) -> subprocess.CompletedProcess[str]:
    """A process that finds the peer after everything else, so that nothing of its age hides what is installed."""
    path = f"import sys; sys.path[:0] = [{str(Path.cwd())!r}]; sys.path.append({str(place)!r})\n"
    command = [sys.executable, "-W", "ignore", "-c", path + code]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def steps_in_turn(rounds: int = 5, steps: int = 8) -> None:
    """For each layer: median seconds of a step of both, of their ratios, and what each leaves behind; as JSON.

    Ours are those behind the first ones, in which gradients are led around dead rectifiers: few of the usual hundreds.
    """
    pellucid.keep_freed_memory()
    found = {}
    for layer in BARS:
        pairs, left = [], (0, 0)
        for _ in range(rounds):
            ours, ours_left = _our_steps(layer, steps)
            theirs, theirs_left = _their_steps(layer, steps)
            pairs.append((ours, theirs))
            left = (ours_left, theirs_left)
        medians = [statistics.median(values) for values in (*zip(*pairs, strict=True), [a / b for a, b in pairs])]
        found[layer] = [*medians, *left]
    print(json.dumps(found))


def _our_steps(layer: str, steps: int) -> tuple[float, int]:
    net, times = network("vgg16"), []

    def stamp(*_: object) -> None:
        times.append(time.perf_counter())

    model = pellucid.wrap(net, size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    pellucid.dream(
        model, f'channel("{layer}", 3)', "fourier", transform="none", steps=RESCUED_STEPS + steps, watch=stamp
    )
    return _median_gap(times[RESCUED_STEPS:]), _left(net)


def _their_steps(layer: str, steps: int) -> tuple[float, int]:
    from lucent.optvis import param, render

    net, times = network("vgg16"), []

    class Adam(torch.optim.Adam):
        def step(self, closure=None):
            found = super().step(closure)
            times.append(time.perf_counter())
            return found

    render.render_vis(
        net, f"{layer.replace('.', '_')}:3", lambda: param.image(224), lambda p: Adam(p, lr=0.05), transforms=[],
        thresholds=(steps,), progress=False, show_image=False,
    )  # fmt: skip
    return _median_gap(times), _left(net)


def _median_gap(times: list[float]) -> float:
    gaps = sorted(b - a for a, b in pairwise(times))
    return gaps[len(gaps) // 2]


def _left(net: torch.nn.Module) -> int:
    """Hooks, and parameters with a gradient."""
    hooks = sum(len(part._forward_hooks) + len(part._backward_hooks) for part in net.modules())
    return hooks + sum(p.grad is not None for p in net.parameters())


def ten_classes(device: str) -> Iterator[Row]:
    """How many of ten classes the network sees in the picture made for each, untransformed, and how long one takes."""
    model = pellucid.load()
    model.module.to(device)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (model.preprocess.mean, model.preprocess.std))
    for recipe in ("fourier", "maco"):
        right, seconds = 0, []
        for number in CLASSES:
            started = time.perf_counter()
            made = pellucid.dream(model, f"logit({number})", recipe, steps=256)
            seconds.append(time.perf_counter() - started)
            with torch.inference_mode():
                scores = model.module(((made.pictures - mean) / std).to(device))
            right += int(scores.argmax(1)) == number
        what = f"{recipe}, 256 steps"
        yield Row(f"{what}: classes seen", "efficientnet-lite0", 1, right, 10, "", "of 10", right, ">= 9", right >= 9)
        worst = max(seconds)
        yield Row(f"{what}: slowest", "efficientnet-lite0", 1, worst, 60, "s", "a minute", worst, "< 60 s", worst < 60)


def one_sheet(device: str) -> Iterator[Row]:
    """64 units of a layer together against one by one, after one of another; a few of these stand for all."""
    model = pellucid.load()
    model.module.to(device)
    _dreams(model, [UNITS])()  # what a network's first dream costs is neither's
    together = in_seconds(_dreams(model, list(range(UNITS))))
    few = 8
    alone = sum(in_seconds(_dreams(model, [k])) for k in range(few)) * UNITS / few
    what = f"{UNITS} units of blocks.6, {SIDE} pixels, {STEPS} steps"
    yield faster(what, "efficientnet-lite0", UNITS, "one by one", (together, alone, together / alone), 4)


def _dreams(model: pellucid.Model, units: list[int]) -> Callable[[], object]:
    objective = f'channel("blocks.6", {tuple(units)})'
    return lambda: pellucid.dream(model, objective, count=len(units), size=SIDE, steps=STEPS)


PARTS: list[Callable[[str], Iterator[Row]]] = [against_lucent, ten_classes, one_sheet]
