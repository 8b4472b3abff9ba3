"""The published networks: parameter counts, shapes, and equal answers by another way."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pellucid import zoo
from pellucid.errors import BadOption
from pellucid.zoo.lenet5 import CONNECTIONS


def count(module):
    return sum(p.numel() for p in module.parameters())


def on_meta(make):
    with torch.device("meta"):
        return make()


def test_published_parameter_counts():
    assert count(on_meta(zoo.AlexNet)) == 60_965_224
    assert count(on_meta(zoo.VGG16)) == 138_357_544
    assert count(on_meta(zoo.InceptionV1)) == 6_998_552
    assert count(on_meta(zoo.SmallResNet)) == 269_722  # "0.27M" in table 6 of the paper
    lenet = zoo.LeNet5()
    parts = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert {name: count(getattr(lenet, name)) for name in parts} == parts
    assert sum(parts.values()) == 60_000
    assert count(zoo.TimeDelay()) == 16 * 3 * 8 + 8 + 8 * 5 * 3 + 3


@pytest.mark.parametrize(
    ("make", "shape", "answer"),
    [
        (zoo.AlexNet, (2, 3, 227, 227), (2, 1000)),
        (zoo.VGG16, (2, 3, 224, 224), (2, 1000)),
        (zoo.InceptionV1, (2, 3, 224, 224), (2, 1000)),
        (zoo.SmallResNet, (2, 3, 32, 32), (2, 10)),
        (zoo.TimeDelay, (2, 16, 15), (2, 3)),
    ],
)
def test_shapes(make, shape, answer):
    with torch.device("meta"):
        assert make().eval()(torch.zeros(shape)).shape == answer


def test_lenet5_for_both_heads_and_its_partial_layer_against_masked_kernels():
    torch.manual_seed(0)
    assert zoo.LeNet5()(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    assert zoo.LeNet5(head="gap")(torch.zeros(2, 1, 40, 40)).shape == (2, 10)
    partial = zoo.LeNet5().c3
    full = nn.Conv2d(6, 16, 5)
    mask = torch.tensor([[seen in row for seen in range(6)] for row in CONNECTIONS])
    with torch.no_grad():
        full.weight.zero_()
        full.weight[mask] = partial.weight
        full.bias.copy_(partial.bias)
    maps = torch.randn(2, 6, 14, 14)
    torch.testing.assert_close(partial(maps), full(maps))
    assert mask.sum() == 60


def test_small_resnet_refuses_another_head():
    with pytest.raises(BadOption, match="global average pooling"):
        zoo.SmallResNet(head="linear")


def test_pooling_by_hand():
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert zoo.MaxPool(2)(maps).item() == 4
    assert zoo.AveragePool(2)(maps).item() == 2.5
    assert zoo.MixedPool(2)(maps).item() == pytest.approx(0.5 * 4 + 0.5 * 2.5)
    gated = zoo.GatedPool(2)
    assert gated(maps).item() == pytest.approx(3.25)
    gated.gate.data = torch.tensor([0.0, 0.0, 0.0, 25.0])
    assert gated(maps).item() == pytest.approx(4)
    assert zoo.L2Pool(2)(maps).item() == pytest.approx(30**0.5)
    assert zoo.StochasticPool(2).eval()(maps).item() == pytest.approx((1 + 4 + 9 + 16) / 10)
    assert zoo.GlobalAveragePool()(maps).tolist() == [[2.5]]
    assert zoo.SpatialPyramidPool((1, 2))(maps).tolist() == [[4, 1, 2, 3, 4]]


def test_stochastic_pooling_draws_in_proportion():
    torch.manual_seed(0)
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]).expand(4000, 1, 2, 2)
    drawn = zoo.StochasticPool(2).train()(maps).flatten()
    shares = torch.bincount(drawn.long(), minlength=5)[1:] / 4000
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.2, 0.3, 0.4]), atol=0.03, rtol=0)
    assert zoo.StochasticPool(2).train()(torch.zeros(1, 1, 2, 2)).item() == 0


@pytest.mark.parametrize("name", ["MaxPool", "AveragePool", "MixedPool", "GatedPool", "L2Pool", "StochasticPool"])
def test_pooling_is_a_drop_in(name):
    maps = torch.rand(2, 3, 7, 9, dtype=torch.float64, requires_grad=True)
    layer = getattr(zoo, name)(3, 2).double().eval()
    assert layer(maps).shape == F.max_pool2d(maps, 3, 2).shape
    assert torch.autograd.gradcheck(layer, (maps,))
    empty = torch.zeros_like(maps, requires_grad=True)
    assert torch.autograd.grad(layer(empty).sum(), empty)[0].isfinite().all()
