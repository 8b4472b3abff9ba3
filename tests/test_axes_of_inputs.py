"""Signals, volumes and tables: what is taken, what is refused in which words, where layers hold places."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.capture.receptive import size
from pellucid.contracts import Axis, Frame, Grid
from pellucid.errors import BadOption, BadSite, Refused

X = torch.randn(2, 3, 8, 6, 4, generator=torch.Generator().manual_seed(0))


class Audio(nn.Module):
    """Takes `[batch, time]` and makes its one channel itself."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv1d(1, 4, 4, stride=2), nn.Linear(4, 2)

    def forward(self, wave):
        return self.head(self.conv(wave[:, None]).relu().mean(2))


class Tokens(nn.Module):
    """A transformer over pieces of a signal, a class token before them."""

    def __init__(self):
        super().__init__()
        self.patch, self.token = nn.Conv1d(3, 8, 2, stride=2), nn.Parameter(torch.randn(1, 1, 8))
        self.places = nn.Parameter(torch.randn(1, 5, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        tokens = torch.cat([self.token.expand(len(x), -1, -1), self.patch(x).transpose(1, 2)], 1) + self.places
        return self.head(self.block(tokens)[:, 0])


class Turned(nn.Module):
    """Exchanges depth and columns of a volume and mirrors the rows."""

    def __init__(self):
        super().__init__()
        self.turn, self.head = nn.Identity(), nn.Linear(3, 2)

    def forward(self, x):
        turned = self.turn(x.transpose(2, 4).flip(3) * 2)
        return self.head((turned**2).mean((2, 3, 4)))


def classifier(axes, channels=3):
    torch.manual_seed(axes)
    conv = getattr(nn, f"Conv{axes}d")(channels, 4, 3, padding=1)
    pool = getattr(nn, f"AdaptiveAvgPool{axes}d")(1)
    return nn.Sequential(conv, nn.ReLU(), pool, nn.Flatten(), nn.Linear(4, 2)).eval()


VOLUME, PICTURE, SIGNAL = X, X[..., 0], X[:, :, :, 0, 0]
FITS = "Add the batch axis with tensor"


@pytest.mark.parametrize(
    ("axes", "tensor", "message"),
    [
        (
            1,
            PICTURE,
            r"\[batch, channel, time\] for Sequential, whose convolutions run along 1 axis, got \[2, 3, 8, 6\]",
        ),
        (
            1,
            SIGNAL[0],
            rf"\[batch, channel, time\].* got \[3, 8\].*{FITS}\[None\] if it is one signal \[channel, time\]",
        ),
        (2, SIGNAL, r"\[batch, channel, row, column\].* got \[2, 3, 8\]"),
        (3, PICTURE, r"\[batch, channel, depth, row, column\].* got \[2, 3, 8, 6\]"),
        (
            3,
            VOLUME[0],
            rf"\[batch, channel, depth, row, column\].* got \[3, 8, 6, 4\].*{FITS}\[None\] if it is one vol",
        ),
        (1, SIGNAL.long(), r"float tensor .*tensor\.float\(\) after normalising, got \[2, 3, 8\] of torch.int64"),
        (1, SIGNAL[..., :0], r"of signals \[batch, channel, time\].*no axis empty, got \[2, 3, 0\]"),
        (1, SIGNAL[0, 0], rf"tables \[batch, feature\].*got \[8\]\. {FITS}\[None\] if it is one row of a table"),
        (1, SIGNAL.masked_fill(SIGNAL > 1, torch.nan), "finite numbers in the tensor to explain, got NaN"),
    ],
)
def test_one_sentence_says_what_was_expected(axes, tensor, message):
    with pytest.raises(BadOption, match=message):
        pellucid.explain(classifier(axes), tensor, "saliency", target=0)


def test_one_picture_is_not_taken_for_signals_where_the_network_would_run_it():
    """A convolution on one channel takes a batch of one signal for one picture, and says nothing."""
    with pytest.raises(BadOption, match=r"got \[1, 8, 6\].*Add the batch axis"):
        pellucid.explain(classifier(2, channels=1), X[0, :1, :, :, 0], "saliency", target=0)


def test_a_table_has_features_and_no_channel():
    torch.manual_seed(0)
    net, table = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double(), torch.randn(2, 5).double()
    base = torch.randn(5, dtype=torch.float64)
    names = ["saliency", "input-x-gradient", "integrated-gradients", "deep-lift", "grad-cam"]
    given = {name: {"baseline": base} for name in ("integrated-gradients", "deep-lift")}
    with pytest.raises(BadSite, match=r"No layer .* for an input of \[5\]"):
        pellucid.explain(net, table, names, target=1, options=given)
    found = pellucid.explain(net, table, names[:-1], target=1, options=given)
    leaf = table.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf)[:, 1].sum(), leaf)
    assert found.axes == (Axis("feature", 5),)
    torch.testing.assert_close(found["saliency"].values, gradient.abs())
    torch.testing.assert_close(found["input-x-gradient"].values, gradient * table)
    delta = (net(table) - net(base[None]))[:, 1].detach()
    for name in names[2:4]:
        torch.testing.assert_close(found[name].values.sum(1), delta, rtol=1e-5, atol=0, msg=name)
    alone = pellucid.explain(net, table[1:], "deep-lift", target=1, options=given)["deep-lift"].values
    torch.testing.assert_close(alone, found["deep-lift"].values[1:])


def test_a_network_may_make_the_channel_of_a_wave_itself():
    net, wave = Audio(), X[:, 0, :, 0, 0]
    cam, gradient = pellucid.explain(net, wave, ["grad-cam", "saliency"], target=0)
    assert cam.raw.shape == (2, 3) and str(cam.site) == "conv"
    leaf = wave.clone().requires_grad_()
    torch.testing.assert_close(gradient.values, torch.autograd.grad(net(leaf)[:, 0].sum(), leaf)[0].abs())


def test_tokens_along_time():
    torch.manual_seed(0)
    net = Tokens().eval()
    names = ["grad-cam", "attention-rollout"]
    cam, rollout = pellucid.explain(net, SIGNAL, names, target=0, layer="block.norm1")
    assert cam.raw.shape == rollout.raw.shape == (2, 4)
    tokens = torch.cat([net.token.expand(2, -1, -1), net.patch(SIGNAL).transpose(1, 2)], 1) + net.places
    normed = net.block.norm1(tokens)
    weights = net.block.self_attn(normed, normed, normed)[1]
    wanted = (weights + torch.eye(5)) / 2
    torch.testing.assert_close(rollout.raw, wanted[:, 0, 1:].detach())
    declared = pellucid.explain(net, SIGNAL, "grad-cam", target=0, layer="block.norm1#tokens:4+1")["grad-cam"]
    torch.testing.assert_close(declared.values, cam.values)
    with pytest.raises(BadSite, match=r"one number for each of the input's axes .* such as #14; got #2x2\+1"):
        pellucid.explain(net, SIGNAL, "grad-cam", target=0, layer="block.norm1#2x2+1")


def test_a_volume_that_the_network_turns_lies_as_it_was_given():
    (cam,) = pellucid.explain(
        Turned(), VOLUME, "hires-cam", target=0, layer="turn", options={"hires-cam": {"rectify": False}}
    )
    leaf = VOLUME.clone().requires_grad_()
    weight = cam.model.module.head.weight[0]
    score = (((leaf * 2) ** 2).mean((2, 3, 4)) * weight).sum()
    (gradient,) = torch.autograd.grad(score, leaf)
    torch.testing.assert_close(cam.values, (gradient * VOLUME).sum(1).detach())


@pytest.mark.parametrize(
    ("grid", "shape"),
    [
        (Grid("channels-first", (4,)), (2, 5, 4)),
        (Grid("tokens", (4,), 2), (2, 7, 5)),
        (Grid("channels-last", (2, 3, 4)), (2, 2, 3, 4, 5)),
        (Grid("tokens-last", (2, 3, 2), 1), (2, 5, 14)),
        (Grid("channels-first", (2, 1, 3), order=(5, 3, 1, 4, 2, 0)), (2, 5, 3, 2, 1)),
    ],
)
def test_grids_lead_to_maps_and_back(grid, shape):
    tensor = torch.randn(shape)
    maps = grid.to_maps(tensor)
    assert maps.shape == (2, 5, *grid.size)
    assert torch.equal(grid.from_maps(maps, tensor), tensor)


def test_a_constant_is_larger_than_every_place():
    """So that where it meets a place, the place is where the result is at home."""
    for axes in (1, 2, 3):
        place = torch.cat([torch.full((axes, 1), 2.0), torch.full((axes, 1), -4.0)])
        assert float(size(place)) == 3**axes
        assert float(size(torch.full((2 * axes, 1), torch.inf))) == torch.inf


def test_boxes_of_frames_along_three_axes():
    frame = Frame((10, 20, 40), (8.0, 4.0, 2.0, 28.0, 14.0, 7.0), (10, 10, 10))
    box = (10.0, 5.0, 3.0, 18.0, 9.0, 7.0)
    assert frame.into(box) == (1.0, 1.0, 2.0, 5.0, 5.0, 10.0)
    assert frame.back(frame.into(box)) == box


def test_what_cannot_be_drawn_is_saved_as_numbers(tmp_path):
    found = pellucid.explain(classifier(1), SIGNAL, ["saliency", "grad-cam"], target=0)
    for draw in (lambda: found.picture("saliency"), lambda: found.report(tmp_path / "page.html")):
        with pytest.raises(Refused, match=r"these lie along time 8\. Take their numbers: .*maps\.npz"):
            draw()
    assert found._repr_html_() is None
    folder = found.save(tmp_path / "out") / "sample-1"
    assert sorted(file.name for file in folder.iterdir()) == ["manifest.json", "maps.npz"]
    assert json.loads((folder / "manifest.json").read_text())["files"] == ["manifest.json", "maps.npz"]
    np.testing.assert_array_equal(np.load(folder / "maps.npz")["grad-cam/values"], found["grad-cam"].values[0])
    again = pellucid.read(tmp_path / "out")
    assert torch.equal(again["saliency"].values, found["saliency"].values) and again.axes == found.axes


def test_layers_are_tried_on_signals():
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Conv1d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()
    )
    (cam,) = pellucid.explain(net, SIGNAL, "grad-cam", layer="auto")
    at = int(str(cam.site))
    activation = net[: at + 1](SIGNAL).requires_grad_()
    top = net(SIGNAL).argmax(1)
    score = net[at + 1 :](activation).gather(1, top[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, activation)
    wanted = (gradient.mean(2, keepdim=True) * activation).sum(1).relu().detach()
    torch.testing.assert_close(cam.values, F.interpolate(wanted[:, None], 8, mode="linear")[:, 0])
