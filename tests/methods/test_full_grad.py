"""FullGrad: the parts sum to the score, whatever the network; and the map by hand."""

import pytest
import torch
from relevance_nets import Branches, Written, seeded, vgg
from torch import nn
from torch.nn import functional as F
from torchvision.models import inception, resnet18

import pellucid
import tiny
from pellucid.errors import BadOutput, Refused


def full_grad(net, image, target=None):
    return pellucid.explain(net, image, "full-grad", target)["full-grad"]


def check_completeness(net, image, tolerance=1e-9):
    with torch.no_grad():
        score = net(image).amax(1)
    got = full_grad(net, image)
    total = got.extras["input_part"] + got.extras["bias_parts"].sum(1)
    assert float((total - score).abs().max()) < tolerance * float(score.abs().max())
    assert float(got.extras["gap"].abs().max()) < tolerance * float(score.abs().max())
    return got


class Smooth(tiny.Plain):
    """Activations with implicit biases, in place too, and constants added by hand."""

    def __init__(self):
        super().__init__(F.gelu)
        self.act2 = nn.SiLU(inplace=True)

    def forward(self, x):
        y = F.relu6(self.act1(self.conv1(2 * x - 1)) * 9)
        y = self.act2(self.conv2(y))
        y += 0.25
        return 1 - self.fc(F.leaky_relu(y, 0.1).mean((2, 3)))


class Swish(tiny.Plain):
    """Gates written by hand, one of them in place."""

    def __init__(self):
        super().__init__(lambda x: x * x.sigmoid())
        self.act2 = lambda x: x.clone().mul_((0.1 * x).sigmoid())


class LastChannels(tiny.Plain):
    """A dense layer on `[batch, row, column, channel]`."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(self.mix(self.features(x).permute(0, 2, 3, 1)).relu().mean((1, 2)))


class Reciprocal(tiny.Plain):
    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3))) / (1 + x.mean((1, 2, 3))[:, None].relu())


@pytest.mark.parametrize(
    "make",
    [
        tiny.Plain, tiny.Pooled, tiny.Skip, tiny.InPlaceSkip, tiny.Reused, tiny.AddAfter, tiny.Joined, tiny.KeepsBatch,
        tiny.ListAlias, Smooth, tiny.Gate, Swish, LastChannels,
    ],
)  # fmt: skip
def test_the_parts_sum_to_the_score(make):
    check_completeness(tiny.build(make), tiny.images())


@pytest.mark.parametrize("make", [lambda: vgg(norm=True), lambda: seeded(lambda: Branches(True))])
def test_the_parts_of_deeper_networks_sum_to_the_score(make):
    check_completeness(make(), tiny.images(size=(8, 8)))


@pytest.mark.parametrize("how", ["modules", "in place", "functions"])
def test_however_it_is_written(how):
    image = tiny.images(size=(8, 8))
    expected = full_grad(seeded(lambda: Written("modules", True)), image)
    got = full_grad(seeded(lambda: Written(how, True)), image)
    torch.testing.assert_close(got.raw, expected.raw)
    torch.testing.assert_close(got.extras["bias_parts"], expected.extras["bias_parts"])


def test_resnet18():
    net = seeded(lambda: resnet18(num_classes=7))
    check_completeness(net, tiny.images(1, size=(48, 48)))


def test_inception():
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = inception.BasicConv2d(3, 6, kernel_size=3, stride=2)
            self.a, self.b = inception.InceptionA(6, pool_features=4), inception.InceptionB(228)
            self.fc = nn.Linear(708, 5)

        def forward(self, x):
            x = torch.cat([x[:, :1] * 0.458 - 0.03, x[:, 1:] * 0.448 - 0.088], 1)  # as transform_input does
            return self.fc(self.b(self.a(self.stem(x))).mean((2, 3)))

    check_completeness(seeded(Small), tiny.images(1, size=(24, 24)))


def test_two_layers_by_hand():
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2)))
    image = tiny.images(1, size=(3, 3))
    z = net[0](image)
    signal = (net[3].weight[1].reshape(1, 4, 3, 3) * (z > 0)).detach()
    gradient = F.conv_transpose2d(signal, net[0].weight, padding=1).detach()
    bias = signal * net[0].bias.detach()[None, :, None, None]

    def drawn(part):
        size = part.abs()
        return ((size - size.min()) / (size.max() - size.min())).sum(1)

    got = full_grad(net, image, 1)
    torch.testing.assert_close(got.raw, drawn(image * gradient) + drawn(bias))
    torch.testing.assert_close(got.extras["bias_parts"], torch.stack([net[3].bias[1], bias.sum()])[None].detach())


def test_channels_last_are_drawn_as_channels():
    net, image = tiny.build(LastChannels), tiny.images(1)

    class First(LastChannels):
        """The same, its dense layer written as a convolution of one pixel."""

        def forward(self, x):
            mixed = F.conv2d(self.features(x), self.mix.weight[:, :, None, None], self.mix.bias)
            return self.fc(mixed.relu().mean((2, 3)))

    torch.testing.assert_close(full_grad(net, image).raw, full_grad(tiny.build(First), image).raw)


def test_gate_by_hand():
    net, image = tiny.build(tiny.Gate), tiny.images(1)
    y = F.relu(net.conv(image)).detach()
    gate = torch.sigmoid(net.squeeze(y.mean((2, 3), keepdim=True))).detach()
    above = net.fc.weight[1].detach().reshape(1, 8, 1, 1) / 256  # gradient at the product
    got = full_grad(net, image, 1)
    expected = float(-(above * y * gate).sum())
    assert float((got.extras["bias_parts"] - expected).abs().min()) < 1e-12 * abs(expected)


def test_without_biases_only_the_input_counts():
    image = tiny.images(size=(8, 8))
    got = full_grad(vgg(bias=False), image)
    assert got.extras["bias_parts"].shape == (2, 0)


@pytest.mark.parametrize(
    ("kind", "named"),
    [(Reciprocal, "a quotient of two values"), (tiny.Tokens, "layer norm"), (tiny.SliceInPlace, "writing into a part")],
)
def test_operations_for_which_the_sum_would_not_hold_are_named(kind, named):
    with pytest.raises(Refused, match=f"full-grad has no rule for .*{named}"):
        full_grad(tiny.build(kind), tiny.images())


def test_constants_that_are_joined_or_chosen_are_named():
    class Net(tiny.Plain):
        def forward(self, x):
            x = self.join(x)
            return super().forward(x)

    for join, named in (
        (lambda x: torch.cat([x[:, :2], torch.ones_like(x[:, :1])], 1), "constants joined"),
        (lambda x: torch.maximum(x, torch.tensor(0.5)), "maximum"),
        (lambda x: torch.where(x > 0.5, x, 0.5), "where"),
    ):
        net = tiny.build(Net)
        net.join = join
        with pytest.raises(Refused, match=f"full-grad has no rule for {named}"):
            full_grad(net, tiny.images())


def test_rows_that_are_no_pictures_are_refused():
    class Turned(tiny.Plain):
        def forward(self, x):
            return (self.fc(self.features(x).mean((2, 3))).T + torch.ones(2)).T

    with pytest.raises(BadOutput, match="scores of 2 rows for 1 picture"):
        full_grad(tiny.build(Turned), tiny.images())


def test_a_bias_out_of_sight_is_named():
    class Hidden(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x + 3

        @staticmethod
        def backward(ctx, signal):
            return signal

    class Net(tiny.Plain):
        def forward(self, x):
            return super().forward(Hidden.apply(x))

    with pytest.raises(Refused, match="the custom function Hidden"):
        full_grad(tiny.build(Net), tiny.images())
