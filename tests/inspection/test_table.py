"""The structure of a network as a table, against torch's own counter and torchinfo."""

import csv
import json
import warnings

import pytest
import torch
import torchinfo
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import pellucid
import tiny
from pellucid.errors import BadOption


def published(name):
    import torchvision

    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torchvision.models.get_model(name, weights=None).eval()


@pytest.mark.long
@pytest.mark.parametrize("name", ["resnet18", "googlenet", "mobilenet_v2", "swin_t", "vit_b_32"])
def test_totals_of_published_networks(name):
    net, shape = published(name), (3, 224, 224)
    found = pellucid.inspect(net, shape=shape).structure
    info = torchinfo.summary(net, (1, *shape), verbose=0)
    # Without the fused attention that hides its products from the counter: ViT-B/32 has 4.41 G multiply-adds.
    with torch.no_grad(), torch.overrides.BaseTorchFunctionMode(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, *shape))
    assert found.total.parameters == info.total_params
    assert found.total.trainable == info.trainable_params
    assert found.total.multiply_adds * 2 == counter.get_total_flops()


class Spectral(nn.Module):
    """An operation that multiplies inside, and has no rule."""

    def forward(self, x):
        return torch.fft.rfft(x).abs()


def test_multiply_adds_against_torchinfo():
    """Which counts biases and norms too; without these the totals are one."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, groups=8, bias=False),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10, bias=False),
    )  # fmt: skip
    found = pellucid.inspect(net, size=32).structure
    assert found.total.multiply_adds == torchinfo.summary(net, (1, 3, 32, 32), verbose=0).total_mult_adds
    biased = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 30 * 30, 4))
    theirs = torchinfo.summary(biased, (1, 3, 32, 32), verbose=0).total_mult_adds
    assert pellucid.inspect(biased, size=32).structure.total.multiply_adds == theirs - 8 * 30 * 30 - 4


def test_a_row_says_what_a_layer_is():
    net = nn.Sequential(nn.Conv2d(4, 6, (3, 5), stride=2, padding=1, dilation=2, groups=2), nn.ReLU(), nn.Flatten())
    found = pellucid.inspect(net.train(), size=20).structure
    row = found["0"]
    assert net.training
    assert (row.kind, row.calls, row.leaf, row.depth) == ("Conv2d", 1, True, 1)
    assert row.settings == {"kernel": "3 x 5", "stride": "2", "padding": "1", "dilation": "2", "groups": "2"}
    assert row.shape == (1, 6, 9, 7)
    assert row.parameters == 6 * 2 * 15 + 6
    assert row.multiply_adds == 6 * 2 * 15 * 9 * 7
    assert row.parameter_share == row.multiply_add_share == 1.0
    assert found["1"].multiply_adds == 0
    with pytest.raises(KeyError):
        found["nowhere"]


def test_one_sample_counts_however_many_are_given():
    net, one = tiny.build(tiny.Pooled), tiny.images(1)
    single, batch = (pellucid.inspect(net, x).structure for x in (one, one.expand(5, -1, -1, -1)))
    assert [row.multiply_adds for row in single.rows] == [row.multiply_adds for row in batch.rows]
    assert batch.total.multiply_add_share == 1.0


def notes(net, **given):
    return " ".join(pellucid.inspect(net, **given).structure.notes)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::DeprecationWarning")
def test_notes():
    assert "Never called in evaluation mode: extra." in notes(tiny.build(tiny.Sometimes), size=16)
    reused = pellucid.inspect(tiny.build(tiny.Reused), size=16).structure
    assert reused["act"].calls == 2
    assert "act (2 times)" in " ".join(reused.notes)
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    assert "shared, and counted once in the total: 1 with 0" in notes(tied, shape=(4,))
    assert pellucid.inspect(tied, shape=(4,)).structure.total.parameters == 24
    scripted = nn.Sequential(torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 3))))
    assert "TorchScript, whose modules cannot be told apart: 0, 0.0." in notes(scripted, size=8)
    assert "not counted: _fft_r2c" in notes(Spectral(), shape=(5, 3))
    assert notes(tiny.build(tiny.Plain), size=16) == ""


def test_other_than_pictures():
    sound = nn.Sequential(nn.Conv1d(2, 4, 9, stride=4), nn.ReLU(), nn.Conv1d(4, 4, 3))
    assert pellucid.inspect(sound, shape=(2, 160)).structure.total.shape == (1, 4, 36)
    film = nn.Sequential(nn.Conv3d(1, 4, 3), nn.MaxPool3d(2))
    assert pellucid.inspect(film, shape=(1, 8, 8, 8)).structure.total.shape == (1, 4, 3, 3, 3)
    assert pellucid.inspect(nn.Linear(7, 2), shape=(7,)).structure.total.multiply_adds == 14
    words = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2))
    assert pellucid.inspect(words, torch.tensor([[1, 2, 3]])).structure.total.shape == (1, 3, 2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "how large the input"),
        ({"picture": torch.zeros(0, 3, 8, 8)}, "at least one sample"),
        ({"shape": (3, 0, 8)}, "shape of one sample"),
        ({"size": 1}, "in 'conv2'"),
    ],
)
def test_what_cannot_be_inspected(given, words):
    class Unpadded(tiny.Plain):
        def __init__(self):
            super().__init__()
            self.conv2 = nn.Conv2d(6, 8, 3)

    with pytest.raises(BadOption, match=words):
        pellucid.inspect(tiny.build(Unpadded), **given)


def test_files(tmp_path):
    found = pellucid.inspect(tiny.build(tiny.Skip), size=16)
    found.save(tmp_path / "out", command="pellucid inspect skip.py")
    record = json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert record["parameters"] == found.structure.total.parameters
    assert record["modules"][1]["path"] == "conv1"
    assert record["command"] == "pellucid inspect skip.py"
    with (tmp_path / "out" / "structure.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["parameters"]) for row in rows] == [row.parameters for row in found.structure.rows]
    assert (tmp_path / "out" / "graph.svg").read_text().startswith("<svg")


def test_the_result_says_what_it_is():
    assert "Inspection of Skip: 5 modules" in repr(pellucid.inspect(tiny.build(tiny.Skip), size=16))
