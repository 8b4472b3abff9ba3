"""Occlusion side by side: exact incremental inference against captum at its best number of windows at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import torch

import pellucid
from benchmarks import peers
from benchmarks.measure import Row, faster, in_seconds, in_turn, peak_bytes, reported
from benchmarks.networks import network

TARGET = 3
BARS = {  # how many times as fast as captum, window 16, stride 8
    "resnet18": 2.2,
    "mobilenet_v2": 2.0,
    "efficientnet-lite0": 1.7,
    "squeezenet1_0": 1.5,
    "googlenet": 1.5,
    "densenet121": 1.5,
    "resnet50": 2.0,
    "vgg16": 5.5,
}
RUNS = 3  # each is hundreds of forward passes long


def ours(net: torch.nn.Module, image: torch.Tensor, window: int, stride: int, **more: object) -> Callable[[], object]:
    model, options = pellucid.wrap(net), {"occlusion": {"window": window, "stride": stride, **more}}
    return lambda: pellucid.explain(model, image, "occlusion", target=TARGET, options=options)["occlusion"]


def captum_at_its_best(net: torch.nn.Module, image: torch.Tensor) -> int:
    """Windows at once with which captum is fastest, found on 49 windows."""
    tries = {n: peers.captum_occlusion(net, image, 32, 32, n) for n in (8, 16, 32, 64)}
    for run in tries.values():
        run()
    return min(tries, key=lambda n: in_seconds(tries[n]))


def occlusion(device: str) -> Iterator[Row]:
    """Every network at window 16 and stride 8; other windows on VGG-16 and ResNet-18."""
    image = torch.randn(1, 3, 224, 224, device=device)
    for name, bar in BARS.items():
        net = network(name).to(device)
        best = captum_at_its_best(net, image)
        timed = in_turn(ours(net, image, 16, 8), peers.captum_occlusion(net, image, 16, 8, best), RUNS)
        yield faster("occlusion, window 16, stride 8", name, 1, f"captum, {best} windows at once", timed, bar)
    net = network("vgg16").to(device)
    best = captum_at_its_best(net, image)
    timed = in_turn(ours(net, image, 8, 4), peers.captum_occlusion(net, image, 8, 4, best), 1)
    yield faster("occlusion, window 8, stride 4", "vgg16", 1, f"captum, {best} windows at once", timed, 7)
    net = network("resnet18").to(device)
    timed = in_turn(ours(net, image, 1, 4), ours(net, image, 16, 8), 1)
    yield reported("occlusion, window 1, stride 4", "resnet18", 1, "window 16, stride 8", timed)


def occlusion_fast(device: str) -> Iterator[Row]:
    """bfloat16 against exact: time, and rank correlation of the maps of the embedded network's sample picture."""
    image = torch.randn(1, 3, 224, 224, device=device)
    for name in ("vgg16", "resnet18", "efficientnet-lite0"):
        net = network(name).to(device)
        timed = in_turn(ours(net, image, 16, 16, precision="fast"), ours(net, image, 16, 16), RUNS)
        yield faster("occlusion, fast", name, 1, "occlusion, exact", timed, 1.4)
    model, maps = pellucid.load(), []
    for precision in ("fast", "exact"):
        options = {"occlusion": {"window": 16, "stride": 8, "precision": precision}}
        maps.append(pellucid.explain(model, "sample:cat", "occlusion", options=options)["occlusion"].raw.flatten())
    ranks = torch.stack([values.argsort().argsort().double() for values in maps])
    found = float(torch.corrcoef(ranks)[0, 1])
    yield Row(
        "occlusion, fast: rank correlation", "efficientnet-lite0", 1, found, 1.0, "s", "occlusion, exact", found,
        ">= 0.999", found >= 0.999,
    )  # fmt: skip


_CODE = """
import statistics, torch
from benchmarks import hiding, peers
from benchmarks.measure import in_turn
from benchmarks.networks import network
net, image = network("resnet18"), torch.randn(1, 3, 224, 224)
print(*in_turn(hiding.ours(net, image, 16, 8), peers.captum_occlusion(net, image, 16, 8, {windows}), {runs}))
"""


def occlusion_other_settings(device: str) -> Iterator[Row]:
    """With the C library's default allocator, and against captum's default of one window at a time."""
    if device != "cpu":
        return
    for words, windows, runs in (("captum, 32 windows at once", 32, RUNS), ("captum's default", 1, 1)):
        code = _CODE.format(windows=windows, runs=runs)
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        a, b, ratio = map(float, done.stdout.split())
        yield reported("occlusion, default allocator", "resnet18", 1, words, (a, b, ratio))


LARGE = {  # few questions, as they are asked in chunks whatever their number
    "occlusion": {"window": 64, "stride": 64},
    "occlusion-coarse-to-fine": {"window": 64, "stride": 64},
    "rise": {"masks": 24},
    "lime": {"regions": 16, "samples": 64},
    "kernel-shap": {"regions": 16, "samples": 64},
    "partition-shap": {"regions": 16, "samples": 64},
    "shapley-sampling": {"regions": 16, "permutations": 4},
    "sobol": {"cells": 4, "designs": 2},
    "hsic": {"cells": 4, "masks": 24},
    "meaningful-perturbation": {"steps": 2},
    "extremal-perturbation": {"steps": 2, "areas": "0.1"},
    "feature-ablation": {"regions": 16},
    "sensitivity": {"cells": 4},
    "score-cam": {"channels": 24},
    "ablation-cam": {},
}


def large_pictures(device: str) -> Iterator[Row]:
    """Peak memory of every method that changes the picture, above the model's own, for a picture of 1,024 pixels."""
    if device != "cpu":
        return
    load = (
        "import torch, pellucid\nfrom benchmarks.networks import network\n"
        "net, image = network('resnet18'), torch.randn(1, 3, 1024, 1024)\nmodel = pellucid.wrap(net)\nREADY()\n"
    )
    bare = peak_bytes(f"{load}with torch.inference_mode(): net(image)\n")
    for method, options in LARGE.items():
        found = peak_bytes(
            f"{load}pellucid.explain(model, image, {method!r}, {TARGET}, options={ {method: options}!r})\n"
        )
        what = f"peak memory of {method}, 1,024 pixels", "resnet18", 1, found, bare, "B", "bare forward"
        yield Row(*what, found / bare, "<= 1024 MiB", found <= 2**30)


PARTS: list[Callable[[str], Iterator[Row]]] = [occlusion, occlusion_fast, occlusion_other_settings, large_pictures]
