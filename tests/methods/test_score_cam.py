"""Score-CAM, Wang et al., algorithm 1."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from nets import close, half_pixel_resize, numbers, pooled_net, random_maps

import pellucid
from pellucid.errors import BadOption

IMAGE, CLASSES = random_maps(0, (2, 2, 6, 8)), [3, 1]


def run(net, chunk=None, **options):
    options = {"score-cam": options}
    return pellucid.explain(net, IMAGE, "score-cam", CLASSES, "conv1", options, chunk=chunk)["score-cam"].raw


def naive(net, kept=range(4), variant="paper"):
    """One masked picture at a time."""
    activation, out = numbers(net.conv1(IMAGE)), []
    for k, maps in enumerate(activation):
        scores, chosen = [], sorted(kept[k] if isinstance(kept, list) else kept)
        for channel in chosen:
            mask = half_pixel_resize(maps[channel][None], 6, 8)[0]
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            with torch.no_grad():
                scores.append(float(net(IMAGE[k : k + 1] * torch.from_numpy(mask))[0, CLASSES[k]]))
        weights = np.exp(scores) / np.exp(scores).sum() if variant == "paper" else np.array(scores)
        out.append(np.maximum(np.einsum("k,kij->ij", weights, maps[chosen]), 0))
    return np.stack(out)


def net():
    made = pooled_net()
    made.fc.weight.data *= 30  # scores far enough apart for the softmax to matter
    return made


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_one_masked_picture_at_a_time(variant):
    close(run(net(), variant=variant), naive(net(), variant=variant))


def test_the_channels_that_vary_most():
    spread = numbers(net().conv1(IMAGE)).std((2, 3))
    close(run(net(), channels=2), naive(net(), [np.argsort(row)[-2:] for row in spread]))


def test_all_channels_are_none_chosen():
    assert torch.equal(run(net(), channels=4), run(net()))


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_a_constant_channel_gets_no_weight(variant):
    flat = net()
    flat.conv1.weight.data[1], flat.conv1.bias.data[1] = 0, 100.0
    close(run(flat, variant=variant), naive(flat, [[0, 2, 3]] * 2, variant))


def test_nothing_but_constant_channels():
    flat = net()
    flat.conv1.weight.data.zero_()
    assert not run(flat).any()


@pytest.mark.parametrize("chunk", [1, 3])
def test_chunks_change_nothing(chunk):
    close(run(net(), chunk=chunk), numbers(run(net())))


def test_bad_options():
    with pytest.raises(BadOption, match="'paper' or 'authors' as variant of score-cam, got 'mine'"):
        run(net(), variant="mine")
    with pytest.raises(BadOption, match="1 to 4 channels for score-cam, got 5"):
        run(net(), channels=5)


MEASURE = """
import threading, torch, pellucid
from torchvision.models import resnet50
torch.set_num_threads(1)
net, image = resnet50().eval(), torch.randn(1, 3, 224, 224)
def now():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
with torch.inference_mode():
    net(image)
before, seen, done = now(), [0], threading.Event()
def watch():
    while not done.wait(0.002):
        seen[0] = max(seen[0], now())
thread = threading.Thread(target=watch)
thread.start()
pellucid.explain(net, image, "score-cam", 3, "layer4", {"score-cam": {"channels": 24}})
done.set()
thread.join()
print((seen[0] - before) / 2**20)
"""


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_small():
    """Channels only add chunks, so 24 of 2,048 show the peak; the plain algorithm holds 1.2 GB of masked pictures."""
    told = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    assert float(told.stdout) < 300
