"""How many samples run at once, from what one sample takes."""

from pathlib import Path

import pytest
import torch

import pellucid
import tiny
from pellucid.capture.layers import footprint
from pellucid.capture.running import Budget, guarded
from pellucid.capture.running.batch_size import _free_bytes

CPU = torch.device("cpu")


def outputs(net, image):
    """Bytes of each innermost layer's output for one picture."""
    sizes, hooks = [], []
    for part in net.modules():
        if not list(part.children()):
            hooks.append(part.register_forward_hook(lambda part, given, out: sizes.append(8 * out.numel())))
    net(image[:1])
    for hook in hooks:
        hook.remove()
    return sizes


@pytest.mark.parametrize("make", [tiny.Pooled, tiny.Tokens, tiny.Skip])
def test_a_pass_that_keeps_nothing_finds_what_the_layers_take(make):
    net, image = tiny.build(make), tiny.images(3)
    hooks, sizes = [len(part._forward_hooks) for part in net.modules()], outputs(net, image)
    with guarded(net):
        found = footprint(pellucid.wrap(net), image)
    assert (found.bytes_per_sample, found.largest) == (sum(sizes), max(sizes))
    assert found.largest > 0
    assert [len(part._forward_hooks) for part in net.modules()] == hooks


def test_what_lies_behind_a_layer():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 1), torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 1)), torch.nn.Flatten()
    )
    image = torch.zeros(1, 3, 5, 5)
    with guarded(net):
        found = footprint(pellucid.wrap(net), image)
    assert found.largest == 4 * 8 * 25
    assert [found.largest_behind(part) for part in (net, net[0], net[1], net[2])] == [0, 800, 400, 0]
    assert found.largest_behind(torch.nn.Conv2d(1, 1, 1)) == found.largest


@pytest.fixture
def roomy(monkeypatch):
    monkeypatch.setattr("pellucid.capture.running.batch_size._free_bytes", lambda _: 2**36)


@pytest.mark.usefixtures("roomy")
def test_a_cpu_takes_no_more_than_makes_it_faster():
    assert Budget(CPU).rows(2**20) == 32
    assert Budget(CPU).rows(2**24) == 10  # fewer would run slower, if there is room for them
    assert Budget(CPU).rows(2**26) == 10


@pytest.mark.usefixtures("roomy")
def test_large_samples_take_a_gigabyte_at_most():
    assert [Budget(CPU).rows(2**power) for power in (27, 28, 29, 31)] == [6, 3, 1, 1]


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux only")
def test_caches_of_files_count_as_free():
    known = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free, whole = (1024 * int(known[name].split()[0]) for name in ("MemFree", "MemTotal"))
    assert 0.9 * free <= _free_bytes(CPU) <= whole
