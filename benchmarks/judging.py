"""Judging side by side: a whole comparison against ten minutes, and metrics that Quantus has too against Quantus.

Quantus is no requirement of anything here: what it asks for would put a second OpenCV beside that of other peers. It
runs without, so for this part `pip install --no-deps quantus==0.6.0`; where it is missing, its rows are left out and
the part says so. `JUDGING_PICTURES=2` measures less, for a quick look.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import pellucid
from benchmarks import peers
from benchmarks.measure import Row, faster, in_seconds, in_turn
from benchmarks.networks import network
from pellucid.pictures import SAMPLES, decode, sample_path

PICTURES = int(os.environ.get("JUDGING_PICTURES", "16"))
METHODS = [
    "grad-cam", "grad-cam++", "layer-cam", "saliency", "guided-backprop", "input-x-gradient", "integrated-gradients",
    "occlusion",
]  # fmt: skip
METRICS = ["deletion", "insertion", "road", "faithfulness-correlation", "gini-sparseness", "entropy"]
IN_BOTH = ["deletion", "faithfulness-correlation", "gini-sparseness", "entropy"]
STEPS, SUBSETS, SHARE = 28, 100, 0.1
OPTIONS = {"deletion": {"steps": STEPS}, "faithfulness-correlation": {"subsets": SUBSETS, "share": SHARE}}
TEN_MINUTES = 600


def photographs(count: int) -> list[Image.Image]:
    """Crops of the sample photographs, two thirds of each side, at places drawn from a fixed seed."""
    rng, made = np.random.default_rng(0), []
    names = sorted(SAMPLES)
    for number in range(count):
        image = decode(sample_path(names[number % len(names)]))[0].convert("RGB")
        wide, high = image.width * 2 // 3, image.height * 2 // 3
        left, top = rng.integers(0, image.width - wide), rng.integers(0, image.height - high)
        made.append(image.crop((left, top, left + wide, top + high)))
    return made


def whole_comparison(device: str) -> Iterator[Row]:
    """8 methods by 6 metrics with the controls, the check with random weights and their intervals, once."""
    model = pellucid.load(device=device)
    run = partial(pellucid.compare, model, photographs(PICTURES), METHODS, METRICS, options=OPTIONS)
    seconds = in_seconds(run)
    what = f"compare, {len(METHODS)} methods x {len(METRICS)} metrics"
    yield Row(
        what, "efficientnet-lite0", PICTURES, seconds, TEN_MINUTES, "s", "ten minutes", seconds / TEN_MINUTES,
        "<= 1 x", seconds <= TEN_MINUTES,
    )  # fmt: skip


def against_quantus(device: str) -> Iterator[Row]:
    """The maps of all methods by each metric that both have, and by all of them; without controls, which it lacks."""
    if not peers.has_quantus():
        print("Quantus is not installed: pip install --no-deps quantus==0.6.0", file=sys.stderr)
        return
    model = pellucid.load(device=device)
    explained = pellucid.explain(model, photographs(PICTURES), METHODS)
    image = explained["saliency"].question.image
    classes = [found[0].index for found in explained.predictions]
    maps = [attribution.values for attribution in explained]
    total = [0.0, 0.0]
    for metric in IN_BOTH:
        theirs = quantus_by(metric, network("efficientnet-lite0").to(device), image, maps, classes)
        given = {metric: OPTIONS[metric]} if metric in OPTIONS else None
        timed = in_turn(partial(pellucid.evaluate, explained, metric, given, controls=False), theirs, 1)
        total = [total[0] + timed[0], total[1] + timed[1]]
        yield faster(f"{metric} of {len(maps)} methods", "efficientnet-lite0", PICTURES, "Quantus (one run)", timed, 1)
    timed = (*total, total[0] / total[1])
    what = f"{len(IN_BOTH)} metrics of {len(maps)} methods"
    yield faster(what, "efficientnet-lite0", PICTURES, "Quantus (one run)", timed, 3)


def quantus_by(
    metric: str, net: torch.nn.Module, image: Tensor, maps: list[Tensor], classes: list[int]
) -> Callable[[], object]:
    """Its metric with our settings, on one method's maps after the other, as it takes them."""
    pixels = image.shape[2] * image.shape[3]
    name, settings = {
        "deletion": ("PixelFlipping", {"features_in_step": pixels // STEPS, "perturb_baseline": 0.0}),
        "faithfulness-correlation": (
            "FaithfulnessCorrelation",
            {"nr_runs": SUBSETS, "subset_size": round(pixels * SHARE), "perturb_baseline": 0.0},
        ),
        "gini-sparseness": ("Sparseness", {"abs": True}),
        "entropy": ("Complexity", {"abs": True}),
    }[metric]
    return peers.quantus_metric(name, settings, net, image, maps, classes)


PARTS: list[Callable[[str], Iterator[Row]]] = [whole_comparison, against_quantus]
