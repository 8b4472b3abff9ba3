"""LRP: every rule against loops written from the papers, laws, and the public libraries where they are right."""

import copy
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from relevance_nets import TINY, Branches, Written, as_dense, hand_down, seeded, size_of, stable, vgg
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from pellucid.errors import BadOption, Refused

COMPOSITES = ("epsilon", "epsilon-plus", "epsilon-plus-flat", "epsilon-gamma-box", "epsilon-alpha2-beta1")
IMAGE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
every_composite = pytest.mark.parametrize("composite", COMPOSITES)


def lrp(net, image=IMAGE, target=None, **options):
    return pellucid.explain(net, image, "lrp", target, options={"lrp": options})["lrp"]


def near(a, b, tolerance=1e-10):
    b = torch.as_tensor(b)
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())


# The rules, one by one


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rule", ["epsilon", "z-plus", "gamma", "alpha-beta", "flat", "w-square", "z-box"])
def test_two_layers_by_hand(rule, bias):
    net = seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, bias=bias), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3, bias=bias))
    )
    image = IMAGE[:1, :, :4, :4]
    weight, offset = as_dense(net[0], (3, 4, 4))
    x = image.flatten().numpy()
    z = weight @ x + offset
    top = net[3].weight.detach().numpy()[1:2]
    b = net[3].bias.detach().numpy()[1:2] if bias else np.zeros(1)
    score = top @ np.maximum(z, 0) + b
    middle = hand_down("epsilon", np.maximum(z, 0), top, b, score, size_of(net[3], np.maximum(z, 0)))
    bounds = {"low": np.full_like(x, x.min()), "high": np.full_like(x, x.max())} if rule == "z-box" else {}
    expected = hand_down(rule, x, weight, offset, middle, **bounds)
    got = lrp(net, image, 1, composite="epsilon", first=rule)
    near(got.raw[0].flatten(), expected, 1e-5 if rule == "gamma" else 1e-10)  # a stabiliser for each sign
    near(got.values, got.raw.sum(1))
    near(got.extras["gap"] + expected.sum(), score, 1e-5 if rule == "gamma" else 1e-10)


@pytest.mark.parametrize(("composite", "rule"), [("epsilon-plus", "z-plus"), ("epsilon-gamma-box", "gamma")])
def test_three_layers_by_hand(composite, rule):
    net = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3)
        )
    )
    image = IMAGE[:1, :, :4, :4]
    x = image.flatten().numpy()
    first, second = as_dense(net[0], (3, 4, 4)), as_dense(net[2], (4, 2, 2))
    y = np.maximum(first[0] @ x + first[1], 0)
    z = np.maximum(second[0] @ y + second[1], 0)
    top, b = net[5].weight.detach().numpy()[:1], net[5].bias.detach().numpy()[:1]
    relevance = hand_down("epsilon", z, top, b, top @ z + b, size_of(net[5], z))
    relevance = hand_down(rule, y, *second, relevance)
    bounds = {"low": np.full_like(x, -3.0), "high": np.full_like(x, 2.5)} if rule == "gamma" else {}
    expected = hand_down("z-box" if bounds else rule, x, *first, relevance, **bounds)
    near(lrp(net, image, 0, composite=composite, low=-3.0, high=2.5).raw.flatten(), expected, 1e-5 if bounds else 1e-10)


def test_epsilon_absorbs_what_it_should():
    net = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 3)))
    image = IMAGE[:1, :, :2, :2]
    weight, b = net[1].weight.detach().numpy()[2:], net[1].bias.detach().numpy()[2:]
    x = image.flatten().numpy()
    score = float((weight @ x + b)[0])
    got = lrp(net, image, 2, epsilon=0.5)
    size = np.abs(net[1](image.flatten(1)).detach().numpy()).mean()
    expected = x * weight[0] * score / (score + np.copysign(0.5 * size, score))
    near(got.raw.flatten(), expected)
    assert got.extras["gap"] == pytest.approx([score - expected.sum()])


def test_negative_inputs_in_the_alpha_beta_family():
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 2, 2, bias=False), nn.Tanh(), nn.Flatten(), nn.Linear(2, 2)))
    image = IMAGE[:1, :, :2, :2]
    assert image.min() < 0 < image.max()
    weight, offset = as_dense(net[0], (3, 2, 2))
    y = np.tanh(weight @ image.flatten().numpy())
    top, b = net[3].weight.detach().numpy()[:1], net[3].bias.detach().numpy()[:1]
    middle = hand_down("epsilon", y, top, b, top @ y + b, size_of(net[3], y))
    expected = hand_down("alpha-beta", image.flatten().numpy(), weight, offset, middle)
    got = lrp(net, image, 0, composite="epsilon-alpha2-beta1", other_activations="pass")
    near(got.raw.flatten(), expected)
    assert got.notes == ("As ReLU does, tanh passed relevance on unchanged.",)


def test_z_box_takes_black_and_white_from_the_preprocessing():
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2)))
    model = pellucid.wrap(net, size=2, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    got = pellucid.explain(model, IMAGE[:1, :, :2, :2], "lrp", 0, options={"lrp": {"composite": "epsilon-gamma-box"}})[
        "lrp"
    ]
    x = IMAGE[0, :, :2, :2].flatten().numpy()
    weight, offset = as_dense(net[0], (3, 2, 2))
    y = np.maximum(weight @ x + offset, 0)
    top, b = net[3].weight.detach().numpy()[:1], net[3].bias.detach().numpy()[:1]
    middle = hand_down("epsilon", y, top, b, top @ y + b, size_of(net[3], y))
    low, high = (
        np.repeat([(v - m) / s for m, s in zip((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), strict=True)], 4) for v in (0, 1)
    )
    near(got.raw.flatten(), hand_down("z-box", x, weight, offset, middle, low=low, high=high), 1e-6)


# Conservation


@every_composite
@pytest.mark.parametrize(
    "make", [lambda: vgg(bias=False), lambda: seeded(Branches), lambda: seeded(lambda: Written("modules"))]
)
def test_relevance_is_conserved_without_biases(make, composite):
    net = make()
    got = lrp(net, composite=composite, epsilon=1e-9)
    score = net(IMAGE).amax(1).detach()
    # alpha-beta by its own definition conserves only where an output has contributions of both signs
    tolerance = 1e-2 if composite == "epsilon-alpha2-beta1" else 1e-4
    assert (got.raw.sum((1, 2, 3)) - score).abs().max() < tolerance * score.abs().min()
    near(got.extras["gap"] + got.raw.sum((1, 2, 3)), score)


@every_composite
def test_the_gap_is_reported_with_biases(composite):
    net = vgg()
    got = lrp(net, composite=composite)
    near(got.extras["gap"] + got.raw.sum((1, 2, 3)), net(IMAGE).amax(1).detach())
    assert got.extras["gap"].abs().max() > 1e-3


# Networks


@every_composite
@pytest.mark.parametrize("bias", [True, False])
def test_however_it_is_written(composite, bias):
    expected = lrp(seeded(lambda: Written("modules", bias)), composite=composite).raw
    for how in ("modules", "in place", "functions"):
        net = seeded(lambda how=how: Written(how, bias))
        near(lrp(net, composite=composite).raw, expected, 1e-5)  # a bias that is added apart is not in the mean size


@pytest.mark.parametrize("composite", ["epsilon", "epsilon-plus"])
def test_residual_sum_by_hand(composite):
    net = seeded(lambda: Written("modules", bias=True))
    rule = "epsilon" if composite == "epsilon" else "z-plus"
    image = IMAGE[:1, :, :3, :3]
    x = image.flatten().numpy()
    first, second = as_dense(net.conv1, (3, 3, 3)), as_dense(net.conv2, (4, 3, 3))
    z = np.maximum(first[0] @ x + first[1], 0)
    inner = second[0] @ z + second[1]
    y = np.maximum(z + inner, 0)
    mean = y.reshape(4, 9).mean(1)
    top, b = net.fc.weight.detach().numpy()[3:4], net.fc.bias.detach().numpy()[3:4]
    relevance = hand_down("epsilon", mean, top, b, top @ mean + b, size_of(net.fc, mean))
    relevance = np.array([y.reshape(4, 9)[k] / 9 * relevance[k] / stable(mean[k], mean[k]) for k in range(4)]).flatten()
    total = z + inner
    total = np.array([stable(t, abs(a) + abs(b)) for t, a, b in zip(total, z, inner, strict=True)])
    below = z * relevance / total + hand_down(rule, z, *second, inner * relevance / total)
    near(lrp(net, image, 3, composite=composite).raw.flatten(), hand_down(rule, x, *first, below), 1e-9)


@every_composite
def test_folded_batch_norm_is_the_folded_network(composite):
    net = vgg(bias=True, norm=True)
    before = copy.deepcopy(net.state_dict())
    layers, plain = list(net), []
    for part in layers:
        if isinstance(part, nn.BatchNorm2d):
            plain[-1] = nn.utils.fuse_conv_bn_eval(plain[-1], part)
        else:
            plain.append(copy.deepcopy(part))
    folded = nn.Sequential(*plain)
    near(net(IMAGE).detach(), folded(IMAGE).detach(), 1e-10)
    near(lrp(net, composite=composite).raw, lrp(folded, composite=composite).raw, 1e-8)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_batch_norm_behind_a_dense_layer_is_folded():
    net = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)))
    net[2].running_mean.fill_(0.3)
    net[2].weight.data.fill_(1.5)
    folded = copy.deepcopy(net)
    scale = 1.5 / (net[2].running_var + net[2].eps).sqrt()
    folded[1].weight.data.mul_(scale[:, None])
    folded[1].bias.data.sub_(0.3).mul_(scale)
    folded[2] = nn.Identity()
    near(lrp(net, IMAGE[:, :, :2, :2]).raw, lrp(folded, IMAGE[:, :, :2, :2]).raw, 1e-8)


def test_batch_norm_on_its_own_shares_in_proportion():
    net = seeded(lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)))
    image = IMAGE[:1, :, :2, :2]
    norm = net[0]
    z = norm(image)
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt())[None, :, None, None]
    y = z.relu().flatten().detach().numpy()
    top, b = net[3].weight.detach().numpy()[:1], net[3].bias.detach().numpy()[:1]
    above = torch.from_numpy(hand_down("epsilon", y, top, b, top @ y + b, size_of(net[3], y))).reshape(z.shape)
    near(lrp(net, image, 0).raw, (image * scale * above / (z + TINY * z.abs().mean() * z.sign())).detach())


def test_a_convolution_with_a_second_consumer_is_not_lost_to_its_batch_norm():
    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.fc = (
                nn.Conv2d(3, 4, 1, bias=False),
                nn.BatchNorm2d(4),
                nn.Linear(8, 2, bias=False),
            )

        def forward(self, x):
            y = self.conv(x)
            return self.fc(torch.cat([y, self.norm(y)], 1).relu().mean((2, 3)))

    net = seeded(Forked)
    net.norm.running_mean.zero_()
    net.norm.bias.data.zero_()
    got = lrp(net, composite="epsilon")
    score = net(IMAGE).amax(1).detach()
    assert (got.raw.sum((1, 2, 3)) - score).abs().max() < 1e-4 * score.abs().min()


@pytest.mark.parametrize(
    "activation",
    [nn.ReLU(), nn.ReLU(inplace=True), F.relu, F.relu_, torch.Tensor.relu, nn.ReLU6(), lambda x: x.clamp(min=0)],
)
def test_every_way_of_writing_a_rectifier(activation):
    expected = lrp(tiny.build(tiny.Plain), tiny.images()).raw
    near(lrp(tiny.build(tiny.Plain, activation), tiny.images()).raw, expected, 1e-9)


def test_factors_and_signs_pass_everything_on():
    class Scaled(tiny.Plain):
        def forward(self, x):
            y = self.features(x * 2 / 2)
            y = -(-(y * torch.tensor(3.0)) / 3)
            y *= torch.ones(8, 1, 1)
            return sum([self.fc(y.mean((2, 3)))])

    near(lrp(tiny.build(Scaled), tiny.images()).raw, lrp(tiny.build(tiny.Plain), tiny.images()).raw, 1e-9)


def test_margin_and_probability():
    net = vgg(bias=False)
    margin = pellucid.targets.Margin(pellucid.targets.Logit((1,)), pellucid.targets.Logit((2,)))
    got = lrp(net, target=margin, composite="epsilon")
    parts = [lrp(net, target=k, composite="epsilon").raw for k in (1, 2)]
    near(got.raw, parts[0] - parts[1], 1e-3)
    with pytest.raises(Refused, match="softmax"):
        lrp(net, target=pellucid.targets.Probability((1,)))


# Refusals


class Custom(tiny.Plain):
    def __init__(self):
        super().__init__(tiny.MyReLU.apply)


class Softmax(tiny.Plain):
    def forward(self, x):
        return self.fc(self.features(x).softmax(1).mean((2, 3)))


class Square(tiny.Plain):
    def forward(self, x):
        return self.fc(self.features(x).pow(2).mean((2, 3)))


class Reciprocal(tiny.Plain):
    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3))) / (1 + x.mean((1, 2, 3))[:, None].relu())


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (tiny.SliceInPlace, "writing into a part of a tensor"),
        (Custom, "the custom function MyReLU"),
        (Softmax, "softmax"),
        (Square, "pow"),
        (Reciprocal, "a quotient of two values that both depend on the picture"),
    ],
)
def test_operations_without_a_rule_are_named(kind, named):
    with pytest.raises(Refused, match=f"lrp has no rule for .*{named}"):
        lrp(tiny.build(kind), tiny.images())


def test_other_activations_can_be_refused():
    net = tiny.build(tiny.Plain, F.gelu)
    with pytest.raises(Refused, match="lrp has no rule for gelu"):
        lrp(net, tiny.images(), other_activations="refuse")
    assert lrp(net, tiny.images()).notes == ("As ReLU does, gelu passed relevance on unchanged.",)


def test_z_box_is_refused_where_the_network_changes_the_picture():
    class Shifted(tiny.Plain):
        def forward(self, x):
            return super().forward(x * 2)

    with pytest.raises(Refused, match=r"changes the picture before that \(a factor or activation"):
        lrp(tiny.build(Shifted), tiny.images(), composite="epsilon-gamma-box")


def test_z_box_behind_padding():
    class Padded(tiny.Plain):
        def forward(self, x):
            y = F.conv2d(F.pad(x, (1, 1, 1, 1)), self.conv1.weight, self.conv1.bias)
            return self.fc(self.act2(self.conv2(self.act1(y))).mean((2, 3)))

    got, expected = (
        lrp(tiny.build(kind), tiny.images(), composite="epsilon-gamma-box") for kind in (Padded, tiny.Plain)
    )
    near(got.raw, expected.raw)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"composite": "plus"}, "lrp: the method has no composite 'plus'. It has: epsilon, "),
        ({"first": "box"}, "lrp: the method has no rule 'box' for first operations"),
        ({"epsilon": -1.0}, "lrp: expected a number of at least 0 as epsilon of the method, got -1.0"),
        ({"alpha": 0.5}, "at least 1 as alpha"),
        ({"other_activations": "plain"}, "'refuse' or 'pass'"),
        ({"low": "a"}, "for the option 'low' of 'lrp', got 'a'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        lrp(vgg(), **options)


# The public libraries


def test_captum_epsilon():
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import EpsilonRule

    net = vgg()
    theirs = copy.deepcopy(net)
    for part in theirs:
        part.inplace = False
        if isinstance(part, (nn.Conv2d, nn.Linear, nn.AvgPool2d, nn.Flatten)):
            part.rule = EpsilonRule(epsilon=1e-6)
    expected = LRP(theirs).attribute(IMAGE.clone().requires_grad_(), target=1)
    near(lrp(net, target=1, composite="epsilon").raw, expected.detach(), 1e-4)


needs_zennit = pytest.mark.skipif(
    find_spec("zennit") is None, reason="zennit is not installed, so LRP was not compared with it"
)
ZENNIT = {
    "epsilon-plus": "EpsilonPlus",
    "epsilon-plus-flat": "EpsilonPlusFlat",
    "epsilon-alpha2-beta1": "EpsilonAlpha2Beta1",
    "epsilon-gamma-box": "EpsilonGammaBox",
}


def zennit_relevance(name, net, canonizers, image, target):
    composites = pytest.importorskip(
        "zennit.composites", reason="zennit is not installed, so there is nothing to compare"
    )
    box = {"low": torch.full_like(image, -4), "high": torch.full_like(image, 4)} if "Box" in name else {}
    composite = getattr(composites, name)(canonizers=canonizers, **box)
    image = image.clone().requires_grad_()
    with composite.context(net) as changed:
        score = changed(image)[:, target]
        return torch.autograd.grad(score, image, score.detach())[0]


@needs_zennit
@pytest.mark.parametrize("composite", ZENNIT)
@pytest.mark.parametrize("norm", [False, True])
def test_zennit_on_a_small_vgg(composite, norm):
    from zennit.canonizers import SequentialMergeBatchNorm

    net = vgg(norm=norm)
    expected = zennit_relevance(ZENNIT[composite], copy.deepcopy(net), [SequentialMergeBatchNorm()], IMAGE, 1)
    near(lrp(net, target=1, composite=composite, low=-4.0, high=4.0).raw, expected, 1e-4)


@needs_zennit
@pytest.mark.parametrize("composite", ZENNIT)
def test_zennit_on_a_small_resnet(composite):
    from torchvision.models.resnet import BasicBlock, ResNet
    from zennit.torchvision import ResNetCanonizer

    net = seeded(lambda: ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5))
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = zennit_relevance(ZENNIT[composite], copy.deepcopy(net), [ResNetCanonizer()], image, 1)
    near(lrp(net, image, 1, composite=composite, low=-4.0, high=4.0).raw, expected, 3e-4)  # its stabiliser is absolute
