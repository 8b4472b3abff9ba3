"""`make bench`: one table, every figure a ratio measured side by side in this run."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pellucid

pellucid.keep_freed_memory()  # as the command line does; the peers in this process gain as much

import torch  # noqa: E402

from benchmarks import (  # noqa: E402
    box_sizes,
    calls,
    dreams,
    hiding,
    judging,
    localisation,
    many_passes,
    peers,
    records,
    several_targets,
    volumes,
)
from benchmarks.measure import (  # noqa: E402
    Row,
    at_most,
    faster,
    in_seconds,
    in_turn,
    peak_bytes,
    processes,
    reported,
)
from benchmarks.networks import SITES, network  # noqa: E402

FAMILY = ["grad-cam", "grad-cam++", "hires-cam", "layer-cam", "xgrad-cam"]
TARGET = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="run the parts whose name contains this; what is known of the others stays")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    for part in PARTS:
        if options.only and options.only not in part.__name__:
            continue
        torch.manual_seed(0)
        rows = []
        for row in part(options.device):
            rows.append(row)
            print(row.line(), flush=True)
            records.keep(part.__name__, rows, options.device, [each.__name__ for each in PARTS])


def ours(
    model: pellucid.Model, image: torch.Tensor, methods: list[str], site: str | None = None
) -> Callable[[], object]:
    return lambda: pellucid.explain(model, image, methods, target=TARGET, layer=site)


def forward(net: torch.nn.Module, image: torch.Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.inference_mode():
            return net(image)

    return run


def cam_family(device: str) -> Iterator[Row]:
    """One pass for Grad-CAM and for its whole family, against the bare forward and the peers."""
    for name, site in SITES.items():
        net = network(name).to(device)
        model = pellucid.wrap(net, name=name)
        for batch in (1, 8):
            image = torch.randn(batch, 3, 224, 224, device=device)

            bare, last = forward(net, image), forward(net, image.to(memory_format=torch.channels_last))
            grad_cam = ours(model, image, ["grad-cam"], site)
            family = [*FAMILY, "cam"] if name != "vgg16" else FAMILY  # VGG's head is not CAM's, so five there
            yield at_most("grad-cam", name, batch, "bare forward", in_turn(grad_cam, bare), 1.15)
            yield reported("grad-cam", name, batch, "bare forward, channels last", in_turn(grad_cam, last))
            timed = in_turn(ours(model, image, family, site), bare)
            yield at_most(f"CAM family ({len(family)} methods)", name, batch, "bare forward", timed, 1.35)
            # the peers get a copy of their own: some leave hooks behind
            theirs = peers.grad_cam(network(name).to(device), site, image)
            yield faster("grad-cam", name, batch, "grad-cam", in_turn(grad_cam, theirs, 7), 2.5)
            for peer in (peers.captum_grad_cam, peers.torchcam):
                theirs = peer(network(name).to(device), site, image)
                yield reported(
                    "grad-cam", name, batch, peer.__name__.removesuffix("_grad_cam"), in_turn(grad_cam, theirs, 7)
                )


def gradients(device: str) -> Iterator[Row]:
    """Saliency and guided backprop against captum."""
    for name in SITES:
        net = network(name).to(device)
        model = pellucid.wrap(net, name=name)
        for batch in (1, 8):
            image = torch.randn(batch, 3, 224, 224, device=device)
            theirs = peers.captum_saliency(network(name).to(device), image)
            timed = in_turn(ours(model, image, ["saliency"]), theirs)
            yield at_most("saliency", name, batch, "captum", timed, 1)
            theirs = peers.captum_guided(network(name).to(device), image)
            timed = in_turn(ours(model, image, ["guided-backprop"]), theirs)
            yield at_most("guided-backprop", name, batch, "captum", timed, 1)


def rise(device: str) -> Iterator[Row]:
    """RISE against masked pictures in plain batches, at the size that suits those best; time grows with the masks."""
    count = 128
    for name in ("efficientnet-lite0", "resnet50"):
        net, image = network(name).to(device), torch.randn(1, 3, 224, 224, device=device)
        model, masks = pellucid.wrap(net), torch.rand(count, 224, 224, device=device)
        options = {"rise": {"masks": count}}
        run = partial(pellucid.explain, model, image, "rise", target=TARGET, options=options)
        for order in (image, image.to(memory_format=torch.channels_last)):
            loops = {batch: peers.plain_rise(net, order, masks, batch) for batch in (4, 8, 16, 32, 64)}
            best = min(loops, key=lambda batch: in_turn(loops[batch], loops[batch], 1)[0])
            against = f"plain batches of {best}{'' if order is image else ', channels last'}"
            timed = in_turn(run, loops[best], 7)
            what = f"rise, {count} masks", name, 1, against, timed
            yield faster(*what, 1) if order is image else reported(*what)


def ablation(device: str) -> Iterator[Row]:
    """Ablation-CAM over 2,048 channels; the peer takes minutes, so it runs once."""
    net = network("resnet50").to(device)
    model, image = pellucid.wrap(net), torch.randn(1, 3, 224, 224, device=device)

    run = ours(model, image, ["ablation-cam"], "layer4")
    seconds = in_turn(run, run, 7)[0]
    took = in_seconds(peers.grad_cam_ablation(net, "layer4", image))
    yield faster("ablation-cam", "resnet50", 1, "grad-cam (one run)", (seconds, took, seconds / took), 200)


def cold_start(device: str) -> Iterator[Row]:
    """The whole command against importing torch."""
    command = [str(Path(sys.executable).with_name("pellucid")), "explain", "sample:cat", "--method", "grad-cam"]
    command += ["--device", device, "--out", str(Path(tempfile.gettempdir()) / "pellucid-bench")]
    timed = processes(command, [sys.executable, "-c", "import torch"])
    yield at_most("pellucid explain sample:cat", "efficientnet-lite0", 1, "import torch", timed, 1.1)


def memory(device: str) -> Iterator[Row]:
    """Peak memory of Grad-CAM at batch 32 against the bare forward's, each in its own process."""
    if device != "cpu":
        return
    load = (
        "import torch, pellucid\nfrom benchmarks.networks import network\nnet = network({name!r})\n"
        "image = torch.randn(32, 3, 224, 224)\nmodel = pellucid.wrap(net)\n"
        "tiny = torch.randn(1, 3, 224, 224)\n"
    )
    bare = "READY()\nwith torch.inference_mode(): net(image)\n"
    ours = "READY()\npellucid.explain(model, image, 'grad-cam', target=3, layer={site!r})\n"
    for name, site in SITES.items():
        a = peak_bytes(load.format(name=name) + ours.format(site=site))
        b = peak_bytes(load.format(name=name) + bare)
        yield Row("peak memory of grad-cam", name, 32, a, b, "B", "bare forward", a / b, "<= 1.3 x", a / b <= 1.3)


def panel(device: str) -> Iterator[Row]:
    """Every CAM that needs one forward and one backward, in one call."""
    net = network("resnet50").to(device)
    model, image = pellucid.wrap(net, name="resnet50"), torch.randn(8, 3, 224, 224, device=device)
    methods = [*FAMILY, "cam", "eigen-cam", "eigen-grad-cam", "fem", "kpca-cam"]
    timed = in_turn(ours(model, image, methods, "layer4"), forward(net, image))
    yield at_most(f"closed-form CAM panel ({len(methods)} methods)", "resnet50", 8, "bare forward", timed, 1.5)


def relevance(device: str) -> Iterator[Row]:
    """LRP, composite epsilon-plus, against zennit."""
    for name in ("vgg16", "resnet50"):
        net = network(name).to(device)
        model, image = pellucid.wrap(net, name=name), torch.randn(1, 3, 224, 224, device=device)
        theirs = peers.zennit_epsilon_plus(network(name).to(device), image, resnet=name == "resnet50")
        yield at_most("lrp epsilon-plus", name, 1, "zennit", in_turn(ours(model, image, ["lrp"]), theirs, 7), 1)


PARTS = [
    *calls.PARTS, cam_family, panel, gradients, relevance, *hiding.PARTS, rise, ablation, *many_passes.PARTS,
    cold_start, memory,
    *several_targets.PARTS, *localisation.PARTS, *box_sizes.PARTS, *dreams.PARTS, *judging.PARTS,
    *volumes.PARTS,
]  # fmt: skip


if __name__ == "__main__":
    main()
