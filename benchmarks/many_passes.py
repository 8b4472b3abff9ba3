"""Methods that ask the network thousands of times: Score-CAM and integrated gradients, against loops and peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

import pellucid
from benchmarks import peers
from benchmarks.measure import Row, at_most, faster, in_seconds, in_turn, number_at_most, peak_bytes, reported
from benchmarks.networks import SITES, network

TARGET = 3
_STEPS = 50
_MEMORY = 300 * 2**20
_SITE = "layer4"


def score_cam(device: str) -> Iterator[Row]:
    """Score-CAM over the 2,048 channels of ResNet-50: numbers, memory and time; the peer takes minutes, so once."""
    net, image = network("resnet50").to(device), torch.randn(1, 3, 224, 224, device=device)
    run = partial(pellucid.explain, pellucid.wrap(net), image, "score-cam", TARGET, _SITE)
    theirs = peers.grad_cam_score(network("resnet50").to(device), _SITE, image)
    took, slower = in_seconds(run), in_seconds(theirs)
    yield faster("score-cam", "resnet50", 1, "grad-cam (one run)", (took, slower, took / slower), 1)
    raw, plain = run()["score-cam"].raw, peers.plain_score_cam(net, _SITE, image, TARGET)
    worst = float((raw - plain).abs().amax() / plain.abs().amax())
    yield number_at_most("score-cam, largest difference", "resnet50", 1, "algorithm 1, plainly", worst, 1e-4)
    if device == "cpu":
        load = "import torch, pellucid\nfrom benchmarks import peers\nfrom benchmarks.networks import network\n"
        load += "net, image = network('resnet50'), torch.randn(1, 3, 224, 224)\nmodel = pellucid.wrap(net)\n"
        ours = peak_bytes(f"{load}READY()\npellucid.explain(model, image, 'score-cam', {TARGET}, {_SITE!r})\n")
        usual = peak_bytes(f"{load}run = peers.grad_cam_score(net, {_SITE!r}, image)\nREADY()\nrun()\n")
        what = "peak memory of score-cam", "resnet50", 1, ours, usual, "B", "grad-cam"
        yield Row(*what, ours / usual, f"<= {_MEMORY / 2**20:.0f} MiB", ours <= _MEMORY)
    fast = partial(run, options={"score-cam": {"channels": 128}})
    yield reported("score-cam, 128 channels", "resnet50", 1, "all channels", in_turn(fast, run, 1))
    yield _agreement("resnet50", _SITE, raw, fast()["score-cam"].raw)
    cat = partial(pellucid.explain, pellucid.load(), "sample:cat", "score-cam", layer=SITES["efficientnet-lite0"])
    few = cat(options={"score-cam": {"channels": 128}})["score-cam"].raw
    yield _agreement("efficientnet-lite0", "head, sample:cat", cat()["score-cam"].raw, few)


def _agreement(name: str, where: str, whole: torch.Tensor, few: torch.Tensor) -> Row:
    from scipy.stats import spearmanr

    rho = float(spearmanr(whole.flatten().cpu(), few.flatten().cpu()).statistic)
    what = "score-cam, 128 channels: rank correlation", name, 1, rho, 1.0, "", f"all channels, {where}"
    return Row(*what, rho, "reported", None)


def integrated_gradients(device: str) -> Iterator[Row]:
    """Integrated gradients against as many forward and backward passes, in the batches that suit those best."""
    for name in SITES:
        net, image = network(name).to(device), torch.randn(1, 3, 224, 224, device=device)
        model, options = pellucid.wrap(net, name=name), {"integrated-gradients": {"steps": _STEPS}}
        run = partial(pellucid.explain, model, image, "integrated-gradients", TARGET, options=options)
        points = torch.linspace(0, 1, _STEPS, device=device)[:, None, None, None] * image
        for order in (points, points.to(memory_format=torch.channels_last)):
            loops = {batch: peers.plain_gradients(net, order, TARGET, batch) for batch in (1, 2, 4, 8, 16)}
            best = _quickest(loops)
            timed = in_turn(run, loops[best], 3)
            against = f"{_STEPS} forward and backward in batches of {best}"
            if order is points:
                yield at_most(f"integrated gradients, {_STEPS} steps", name, 1, against, timed, 1.05)
            else:
                yield reported(f"integrated gradients, {_STEPS} steps", name, 1, f"{against}, channels last", timed)


def _quickest(loops: dict[int, Callable[[], object]]) -> int:
    """The batch size of the quickest loop."""
    return min(loops, key=lambda batch: in_seconds(loops[batch]))


PARTS = (score_cam, integrated_gradients)
