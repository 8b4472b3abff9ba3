"""One value explained: the numbers are the network's, and the pieces add up to them."""

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
import tiny
from pellucid.errors import BadOption, BadSite, UnknownName


class Many(nn.Module):
    """Every kind of layer that can be taken apart, each fed with the picture."""

    def __init__(self):
        super().__init__()
        self.plain = nn.Conv2d(3, 4, 3, padding=1)
        self.odd = nn.Conv2d(3, 6, (2, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=3, bias=False)
        self.up = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1)
        self.largest, self.mean = nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2)
        self.uneven, self.whole = nn.AdaptiveAvgPool2d(3), nn.AdaptiveAvgPool2d(1)
        self.norm, self.act = nn.BatchNorm2d(3), nn.LeakyReLU(0.1)
        self.tokens, self.fc = nn.Linear(3, 5), nn.Linear(3, 7)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(self.norm.weight, -2, 2)
        nn.init.uniform_(self.norm.bias, -2, 2)

    def forward(self, x):
        parts = [self.plain(x), self.odd(x), self.up(x), self.largest(x), self.mean(x), self.uneven(x), self.whole(x)]
        parts += [self.norm(x), self.act(x), self.tokens(x.flatten(2).transpose(1, 2)), self.fc(x.mean((2, 3)))]
        return torch.stack([part.flatten(1).sum(1) for part in parts], 1)


def outputs(net, path, image):
    kept = []
    handle = net.get_submodule(path).register_forward_hook(lambda _, __, out: kept.append(out.detach()))
    with torch.no_grad():
        net(image)
    handle.remove()
    return kept[0]


PLACES = {
    "plain": [(0, 0), (7, 9)], "odd": [(0, 3), (4, 2)], "up": [(0, 0), (7, 8)], "largest": [(0, 0), (3, 4)],
    "mean": [(2, 3)], "uneven": [(1, 2)], "whole": [(0, 0)], "norm": [(5, 5)], "act": [(5, 6)], "tokens": [(17,)],
    "fc": [()],
}  # fmt: skip


@pytest.mark.parametrize("path", PLACES)
def test_the_pieces_add_up_to_the_networks_own_number(path):
    net, image = tiny.build(Many), tiny.images(2)
    own = outputs(net, path, image)
    for at in PLACES[path]:
        found = pellucid.look(net, image, path, 2, at)
        expected = own[0, :, *at][2] if path != "tokens" else own[0, at[0], 2]
        assert found.value == pytest.approx(float(expected), rel=1e-12)
        assert all(stage.worked == pytest.approx(stage.value, rel=1e-9, abs=1e-12) for stage in found.stages)
        assert (found.pieces is None) == (path in ("norm", "act"))
        if found.pieces and path != "tokens":  # torch adds the bias of tokens in a step of its own
            assert found.pieces.worked == pytest.approx(float(expected), rel=1e-9)


def test_what_a_convolution_sees_is_the_padded_window():
    net, image = tiny.build(Many), tiny.images(1)
    found = pellucid.look(net, image, "plain", 1, (0, 3)).pieces
    padded = torch.nn.functional.pad(image[0], (1, 1, 1, 1))
    assert torch.equal(found.cells, padded[:, 0:3, 3:6])
    assert torch.equal(found.weights, net.plain.weight[1].detach())
    assert (found.start, found.step, found.bias) == ((-1, 2), (1, 1), float(net.plain.bias[1].detach()))


def test_the_winner_takes_the_gradient_and_the_mean_spreads_it():
    net, image = tiny.build(Many), tiny.images(1)
    largest = pellucid.look(net, image, "largest", 0, (0, 0)).pieces
    assert torch.isinf(largest.cells[0, 0]).all()  # padding that cannot win
    assert largest.backward.sum() == 1
    assert largest.backward[largest.winner] == 1
    assert largest.cells[largest.winner] == largest.value
    mean = pellucid.look(net, image, "mean", 0, (1, 1)).pieces
    assert mean.winner is None
    assert torch.equal(mean.backward, torch.full((1, 2, 2), 0.25, dtype=torch.float64))


def test_normalisation_and_activation_follow():
    net, image = tiny.build(tiny.Pooled), tiny.images(1)
    found = pellucid.look(net, image, "features.0", 3, (5, 6))
    assert [stage.name for stage in found.stages] == ["convolution", "batch_norm", "relu"]
    assert [stage.path for stage in found.stages] == ["features.0", "features.1", "features.2"]
    with torch.no_grad():
        assert found.stages[-1].value == pytest.approx(float(net.features[:3](image)[0, 3, 5, 6]))
    assert found.box == ((4, 6), (5, 7))
    # the sum before a skip is used twice, so nothing follows it
    assert len(pellucid.look(tiny.build(tiny.Skip), image, "conv1", 0, (1, 1)).stages) == 1


def test_a_module_around_one_convolution_will_do():
    net = pellucid.load()
    found = pellucid.look(net, "sample:cat", "blocks.3.depthwise", 12, (5, 7))
    assert [stage.name for stage in found.stages] == ["convolution", "batch_norm", "relu6"]
    assert found.stages[0].worked == pytest.approx(found.stages[0].value, rel=1e-5)
    assert found.value == found.stages[-1].value  # the module's own output is that of its activation
    assert found.box == ((30, 64), (46, 80))
    picture = np.asarray(found.draw())
    assert picture.shape[2] == 3
    assert (picture == (213, 94, 0)).all(2).any()  # the frame around the receptive field


def test_other_than_pictures():
    sound = nn.Sequential(nn.Conv1d(2, 3, 5, stride=2), nn.ReLU())
    found = pellucid.look(sound, torch.randn(1, 2, 20), "0", 1, (4,))
    assert found.pieces.worked == pytest.approx(found.value, rel=1e-5)
    assert found.draw().size[0] > 500
    with pytest.raises(BadSite, match="no window of rows and columns"):
        pellucid.look(sound, torch.randn(1, 2, 20), "1", 1, (4,)).draw()


@pytest.mark.parametrize(
    ("layer", "unit", "at", "error", "words"),
    [
        ("plain", 9, (0, 0), BadOption, "units 0 to 3; got 9"),
        ("plain", 0, (0, 99), BadOption, "16 x 16; got the position 0,99"),
        ("plain", 0, (), BadOption, "no position was named.*--at 0,0"),
        ("fc", 0, (1,), BadOption, "no positions"),
        ("plan", 0, (0, 0), UnknownName, "Did you mean 'plain'"),
        ("", 0, (), BadSite, "Choose one inside: 'plain'"),
    ],
)
def test_what_cannot_be_looked_at(layer, unit, at, error, words):
    with pytest.raises(error, match=words):
        pellucid.look(tiny.build(Many), tiny.images(1), layer, unit, at)


def test_values_that_are_only_moved():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 14 * 14, 2))
    with pytest.raises(BadSite, match="only moves values"):
        pellucid.look(net, torch.randn(1, 3, 16, 16), "1", 3)


def test_the_drawing_of_pooling_has_room_for_its_words():
    net = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 2, 3))
    picture = np.asarray(pellucid.look(net, torch.rand(1, 3, 16, 16), "0", 1, (2, 3)).draw())
    assert (picture[:, -8:] == 255).all(), "nothing is cut off at the right"


def test_layers_called_twice_or_never():
    net, image = tiny.build(tiny.Reused), tiny.images(1)
    with pytest.raises(BadSite, match=r"called 2 times in one pass\. Say which: 'act:0', 'act:1'"):
        pellucid.look(net, image, "act", 0, (0, 0))
    assert pellucid.look(net, image, "act:1", 0, (0, 0)).stages[0].name == "relu"
    with pytest.raises(BadSite, match="never called"):
        pellucid.look(tiny.build(tiny.Sometimes), image, "extra", 0, (0, 0))
