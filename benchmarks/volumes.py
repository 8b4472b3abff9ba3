"""Occlusion of volumes side by side: box by box against the same windows by plain batches, and against MONAI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn

import pellucid
from benchmarks import peers
from benchmarks.measure import Row, faster, in_seconds, in_turn, number_at_most, reported
from pellucid.capture.incremental import incremental
from pellucid.capture.running import Budget, guarded
from pellucid.contracts import LocalPerturbation

TARGET = 3
WINDOWS = 4
"""Along each axis, side by side."""
BAR = 3.0


def volume(name: str) -> nn.Module:
    """A network of torchvision that takes three axes, with random weights."""
    from torchvision.models import video

    made: nn.Module = getattr(video, name)(weights=None)
    return made.eval()


def hidden_windows(size: int) -> LocalPerturbation:
    """Windows filled with 0 that cover a cube."""
    side = size // WINDOWS
    starts = torch.tensor(list(product(range(0, size, side), repeat=3)))
    boxes = torch.cat([starts, starts + side], 1)

    def paint(parts: Tensor, _: Tensor, numbers: Tensor, corners: Tensor) -> Tensor:
        for part, first in zip(parts, (starts[numbers] - corners).tolist(), strict=True):
            part[(slice(None), *(slice(place, place + side) for place in first))] = 0
        return parts

    return LocalPerturbation(boxes, paint)


def box_by_box(net: nn.Module, image: Tensor, change: LocalPerturbation) -> Tensor:
    """The scores of all windows."""
    model = pellucid.wrap(net)
    with guarded(net):
        found = incremental(
            model, image, change, lambda output, _: (output[:, TARGET], None), Budget(image.device), lambda _: None
        )
    if found is None:
        raise RuntimeError("the network was not followed box by box")
    return found.score[0]


def volume_occlusion(device: str) -> Iterator[Row]:
    """r3d_18 at two sizes, 64 windows each; one run, as it takes minutes."""
    net = volume("r3d_18").to(device)
    for size in (64, 96):
        image, change = torch.randn(1, 3, size, size, size, device=device), hidden_windows(size)
        ours = partial(box_by_box, net, image, change)
        some = LocalPerturbation(change.boxes[:8], change.paint)
        tries = {n: in_seconds(partial(peers.plain_windows, net, image, some, TARGET, n)) for n in (1, 2, 4, 8)}
        best = min(tries, key=lambda n: tries[n])
        box_by_box(net, image, some)  # how the network takes batches is tried once, as both sides' batches are warm
        what = f"occlusion, {len(change.boxes)} windows of {size // WINDOWS}, {size} x {size} x {size}"
        timed = in_turn(ours, partial(peers.plain_windows, net, image, change, TARGET, best), 1)
        yield faster(what, "r3d_18", 1, f"plain batches of {best}", timed, BAR)
        plain = peers.plain_windows(net, image, some, TARGET, best)
        off = float((ours()[:8] - plain).abs().max() / plain.abs().max())
        yield number_at_most(f"{what}: relative difference", "r3d_18", 1, "plain batches", off, 1e-4)
        if peers.has_monai():
            timed = in_turn(ours, peers.monai_occlusion(net, image, size // WINDOWS, best), 1)
            yield reported(what, "r3d_18", 1, "MONAI", timed)
        else:
            yield Row(what, "r3d_18", 1, timed[0], 0.0, "s", "MONAI, which is not installed", 0.0, "reported", None)


PARTS: list[Callable[[str], Iterator[Row]]] = [volume_occlusion]
