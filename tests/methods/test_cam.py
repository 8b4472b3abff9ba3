"""CAM, Zhou et al., eq. 2."""

import numpy as np
import pytest
import torch
from nets import close, numbers, pooled_net, random_maps
from torch import nn
from torch.nn import functional as F
from torchvision.models import VisionTransformer

import pellucid
from pellucid.errors import Refused

IMAGE = random_maps(2, (2, 2, 6, 7))
CLASSES = [3, 0]


def run(net, target=CLASSES, image=IMAGE, layer=None):
    return pellucid.explain(net, image, "cam", target, layer)["cam"]


def test_is_the_activation_weighed_by_the_linear_layer():
    net = pooled_net()
    with torch.no_grad():
        activation = numbers(net[:4](IMAGE))
    expected = np.zeros((2, 6, 7))
    for n, k, i, j in np.ndindex(activation.shape):
        expected[n, i, j] += numbers(net.fc.weight)[CLASSES[n], k] * activation[n, k, i, j]
    assert expected.min() < 0 < expected.max()  # signed: no ReLU in eq. 2
    close(run(net).raw, expected)


def test_mean_plus_bias_is_the_score():
    net = pooled_net()
    with torch.no_grad():
        scores = numbers(net(IMAGE))[range(2), CLASSES]
    close(run(net).raw.mean((1, 2)) + net.fc.bias[CLASSES], scores)


class Head(nn.Module):
    """conv -> relu -> a head of one's own."""

    def __init__(self, head, bias=True, offset=0.0):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.relu = nn.Conv2d(2, 4, 3, padding=1), nn.ReLU()
        self.first, self.last = nn.Linear(4, 6, bias=bias), nn.Linear(6, 4)
        self.head, self.offset = head, offset
        self.double()

    def forward(self, x):
        return self.head(self, self.relu(self.conv(x))) + self.offset


def two_layers(net, maps):
    return net.last(net.first(maps.mean((2, 3))).relu())


def test_two_linear_layers_without_relu_are_one():
    net = Head(lambda net, maps: net.last(net.first(maps.mean((2, 3)))))
    with torch.no_grad():
        weight = (net.last.weight @ net.first.weight)[CLASSES]
        expected = torch.einsum("bk,bkij->bij", weight, net.relu(net.conv(IMAGE)))
    close(run(net, layer="relu").raw, numbers(expected))


def test_max_pooling_is_refused():
    net = Head(lambda net, maps: net.last(net.first(F.adaptive_max_pool2d(maps, 1).flatten(1))))
    with pytest.raises(Refused, match="CAM needs global average pooling"):
        run(net, layer="relu")


def test_one_weight_per_position_is_refused():
    torch.manual_seed(4)
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 6 * 7, 4)).double()
    with pytest.raises(Refused, match="the score weighs its positions differently"):
        run(net)


def test_an_earlier_layer_is_refused():
    with pytest.raises(Refused, match="CAM needs global average pooling and one linear layer"):
        run(pooled_net(), layer="relu1")


@pytest.mark.parametrize("offset", [0.0, 1000.0], ids=["", "and a large bias"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_a_relu_between_two_linear_layers_is_refused(bias, offset):
    # without biases the score is linear along t A, and a large offset makes every bend look small: read the graph
    with pytest.raises(Refused, match="the score also goes through relu"):
        run(Head(two_layers, bias, offset), layer="relu")


@pytest.mark.parametrize("scale", [0.01, 20.0])
def test_a_probability_is_refused(scale):
    net = pooled_net()
    with torch.no_grad():
        net.fc.weight.mul_(scale)  # a softmax that hardly moves looks linear
    with pytest.raises(Refused, match="the score also goes through softmax"):
        run(net, target=pellucid.Probability((1,)))


def test_pooled_features_times_themselves_are_refused():
    def head(net, maps):
        pooled = maps.mean((2, 3))[:, :, None]
        return torch.bmm(pooled, pooled.mT).flatten(1)[:, :4]

    with pytest.raises(Refused, match="the score also goes through a product of two values"):
        run(Head(head), layer="relu")


OF_TWO = {
    "product": lambda net, maps: maps.mean((2, 3)) * net.last(net.first(maps.mean((2, 3)))),
    "quotient": lambda net, maps: maps.mean((2, 3)) / (1 + maps.mean((1, 2, 3))[:, None]),
    "of a constant": lambda net, maps: 1 / (1 + maps.mean((2, 3))),
    "convolution": lambda net, maps: F.conv2d(maps[:1], maps.mean((0, 2, 3)).expand(4, -1)[:, :, None, None])[
        ..., 0, 0
    ],
}


@pytest.mark.parametrize("head", OF_TWO)
def test_values_of_the_layer_that_multiply_each_other_are_refused(head):
    with pytest.raises(Refused, match=r"the score also goes through (a product of two values|.*reciprocal)"):
        run(Head(OF_TWO[head]), target=3, image=IMAGE[:1], layer="relu")


LINEAR = {
    "halved": lambda net, maps: (net.first(maps.mean((2, 3))) + net.first(2 * maps.mean((2, 3)))) / 2,
    "a convolution of one pixel": lambda net, maps: F.conv2d(
        maps.mean((2, 3), keepdim=True), net.first.weight[:, :, None, None], net.first.bias
    ).flatten(1),
    "scaled and subtracted": lambda net, maps: 0.3 - net.first(-maps.mean((2, 3)) * 0.5),
}


@pytest.mark.parametrize("head", LINEAR)
def test_any_linear_head_will_do(head):
    net = Head(LINEAR[head])
    with torch.no_grad():
        zero = net.head(net, torch.zeros(2, 4, 6, 7, dtype=torch.float64))[range(2), CLASSES]
        score = net(IMAGE)[range(2), CLASSES]
    close(run(net, layer="relu").raw.mean((1, 2)) + zero, score)


def vit():
    torch.manual_seed(2)
    net = VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
    )
    nn.init.normal_(net.heads.head.weight)  # torchvision starts it at zero, where nothing depends on anything
    return net.double()


def test_a_class_token_is_refused():
    with pytest.raises(Refused, match="CAM needs global average pooling"):
        run(vit(), target=[1, 2], image=random_maps(3, (2, 3, 32, 32)))


def test_patches_behind_the_last_attention_are_refused():
    # only the class token is read there: the map would be 0, and its mean plus the bias not the score
    with pytest.raises(Refused, match="the score does not depend on the layer"):
        run(vit(), target=[1, 2], image=random_maps(3, (2, 3, 32, 32)), layer="encoder.ln")
