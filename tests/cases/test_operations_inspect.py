"""What `inspect` and `look` show of layers: reused blocks, pooling, kernels that are made in the pass, one axis."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid import zoo


def test_p2_a_block_that_ends_in_a_reused_module():
    act = nn.ReLU()
    net = nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 1), act, nn.Conv2d(4, 4, 1), act))
    found = pellucid.inspect(net, torch.randn(1, 4, 8, 8))
    assert found.structure.total.parameters == 2 * (4 * 4 + 4)
    assert found.activations[-1].maps.shape == (4, 8, 8)


def test_w8_pooling_stands_in_the_strip():
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
        nn.Linear(144, 10),
    ).eval()  # fmt: skip
    image = torch.rand(1, 1, 16, 16)
    found = pellucid.inspect(net, image).activations
    assert [str(layer.site) for layer in found] == ["0", "1", "2", "3", "4"]
    torch.testing.assert_close(found[-1].maps, net[:5](image)[0].detach())


class Standardised(nn.Conv2d):
    """Weights with mean 0 and variance 1 per unit, made in the pass."""

    def forward(self, x):
        mean, scale = self.weight.mean((1, 2, 3), keepdim=True), self.weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, (self.weight - mean) / scale, self.bias)


def test_filter_sheets_show_what_convolves():
    net, image = nn.Sequential(Standardised(3, 4, 3), nn.Conv2d(4, 4, 3)), torch.rand(1, 3, 9, 9)
    first, second = pellucid.inspect(net, image).filters
    torch.testing.assert_close(first.weights.mean((1, 2, 3)), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(first.weights.std((1, 2, 3)), torch.ones(4))
    assert torch.equal(second.weights, net[1].weight.detach())
    assert torch.equal(first.weights[1], pellucid.look(net, image, "0", 1, (2, 2)).pieces.weights)


LINES = {
    "convolution": (nn.Conv1d(2, 3, 5, stride=2), (4,)),
    "mean": (nn.AvgPool1d(2), (4,)),
    "maximum": (nn.MaxPool1d(3), (4,)),
}


@pytest.mark.parametrize("kind", LINES)
def test_w9_layers_along_one_axis_are_drawn(kind):
    layer, at = LINES[kind]
    net, image = nn.Sequential(layer), torch.randn(1, 2, 20)
    found = pellucid.look(net, image, "0", 1, at)
    assert found.value == float(net(image)[0, 1, *at].detach())
    assert found.pieces.worked == pytest.approx(found.value, rel=1e-5)
    assert found.draw().size[0] > 500


def test_w9_mixed_pooling_is_a_sum_over_its_window():
    """a max + (1 - a) mean: the winner of four weighs a + (1 - a) / 4, the others (1 - a) / 4 each; a = 1/2."""
    net, image = nn.Sequential(zoo.MixedPool(2)), torch.rand(1, 3, 8, 8)
    found = pellucid.look(net, image, "0", 1, (2, 3))
    assert found.value == float(net(image)[0, 1, 2, 3].detach())
    cells = image[0, 1, 4:6, 6:8]
    weights = torch.full((2, 2), 0.125)
    weights.view(-1)[cells.argmax()] += 0.5
    torch.testing.assert_close(found.pieces.weights[0], weights)
    assert torch.equal(found.pieces.cells[0], cells)


def test_w9_softmax_and_dropout():
    net, image = nn.Sequential(nn.Dropout(0.5), nn.Softmax(1)), torch.randn(1, 5)
    dropped = pellucid.look(net, image, "0", 2)
    assert (dropped.value, dropped.stages[0].name) == (float(image[0, 2]), "unchanged")
    found = pellucid.look(net, image, "1", 2)
    assert found.value == float(image.softmax(1)[0, 2])
    assert found.stages[0].worked == pytest.approx(found.value, rel=1e-6)


def test_relu6_is_called_so():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.Hardtanh())
    found = pellucid.look(net, torch.rand(1, 3, 9, 9), "0", 1, (2, 2))
    assert [stage.name for stage in found.stages] == ["convolution", "relu6", "hardtanh"]
