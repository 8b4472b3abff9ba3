"""What a call costs beside the network itself: the calls of a live view, and the first one, which tries things out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

import pellucid
from benchmarks.measure import Row, in_seconds, lower_quartiles
from benchmarks.networks import network

_SITES = {"efficientnet-lite0": "head", "resnet18": "layer4", "resnet50": "layer4"}
_TARGET, _RUNS, _FIRST = 3, 41, 5
_MOST, _SHARE = 1e-3, 0.05
"""Seconds, or the share of the bare forward if that is more, that a call may take beside it."""


def call_cost(device: str) -> Iterator[Row]:
    """Grad-CAM of one picture above the bare forward in its better order of memory; lower quartiles, in turn.

    Beside it, what forward and gradient at the layer cost by a hook and nothing else.
    """
    for name, site in _SITES.items():
        net, image = network(name).to(device), torch.randn(1, 3, 224, 224, device=device)
        model, last = pellucid.wrap(net, name=name), image.to(memory_format=torch.channels_last)
        runs = _forward(net, image), _forward(net, last), _by_hook(net, site, last), _call(model, image, site)
        first, second, hook, ours = lower_quartiles(runs, _RUNS)
        bare = min(first, second)
        bar, met = "<= 1 ms or 5 % above", ours - bare <= max(_MOST, _SHARE * bare)
        yield Row("grad-cam, a call", name, 1, ours, bare, "s", "bare forward, better order", ours / bare, bar, met)
        against = "forward and gradient by a hook"
        yield Row("grad-cam, a call", name, 1, ours, hook, "s", against, ours / hook, "reported", None)


def first_call(device: str) -> Iterator[Row]:
    """The first call on a network, with its trials, against those that follow."""
    for name, site in _SITES.items():
        net, image = network(name).to(device), torch.randn(1, 3, 224, 224, device=device)
        first, later = [], []
        for _ in range(_FIRST):
            call = _call(pellucid.wrap(copy.deepcopy(net), name=name), image, site)
            first.append(in_seconds(call))
            later.append(min(in_seconds(call) for _ in range(3)))
        ours, theirs = sorted(first)[_FIRST // 4], sorted(later)[_FIRST // 4]
        yield Row("grad-cam, first call", name, 1, ours, theirs, "s", "later calls", ours / theirs, "reported", None)


def _call(model: pellucid.Model, image: Tensor, site: str) -> Callable[[], object]:
    return lambda: pellucid.explain(model, image, ["grad-cam"], target=_TARGET, layer=site)


def _forward(net: nn.Module, image: Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.inference_mode():
            return net(image)

    return run


def _by_hook(net: nn.Module, site: str, image: Tensor) -> Callable[[], object]:
    """The least that Grad-CAM takes of a network: a graph that begins at the layer."""
    part = net.get_submodule(site)

    def run() -> object:
        seen: list[Tensor] = []

        def begin(_: nn.Module, __: object, out: Tensor) -> Tensor:
            seen.append(out.detach().requires_grad_())
            torch.set_grad_enabled(True)
            return seen[0].clone()

        handle = part.register_forward_hook(begin)
        try:
            with torch.no_grad():
                score = net(image)[:, _TARGET].sum()
        finally:
            handle.remove()
        return torch.autograd.grad(score, seen)

    return run


PARTS = (call_cost, first_call)
