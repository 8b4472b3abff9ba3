"""DeepLIFT: the rescale rule by hand, exact completeness, and captum where it is right."""

import copy

import pytest
import torch
from captum.attr import DeepLift
from relevance_nets import seeded, vgg
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

import pellucid
import tiny
from pellucid.errors import BadOption, Refused


def deep_lift(net, image, target=None, **options):
    return pellucid.explain(net, image, "deep-lift", target, options={"deep-lift": options})["deep-lift"]


class Smooth(tiny.Plain):
    """Activations of many kinds, one in place."""

    def forward(self, x):
        y = F.gelu(self.conv1(x * 2 - 1))
        y = F.silu(self.conv2(torch.tanh(y)), inplace=True)
        return 1 - self.fc(F.max_pool2d(y.sigmoid(), 3, 2, 1).mean((2, 3)) / 2)


@pytest.mark.parametrize("baseline", [0.0, -1.5])
@pytest.mark.parametrize(
    "make",
    [
        tiny.Plain, tiny.Pooled, tiny.Skip, tiny.InPlaceSkip, tiny.Reused, tiny.AddAfter, tiny.Joined, tiny.KeepsBatch,
        tiny.ListAlias, Smooth,
    ],
)  # fmt: skip
def test_completeness(make, baseline):
    net, image = tiny.build(make), tiny.images()
    got = deep_lift(net, image, [1, 3], baseline=baseline)
    with torch.no_grad():
        here, there = net(image), net(torch.full_like(image, baseline))
    difference = torch.stack([(here - there)[0, 1], (here - there)[1, 3]])
    torch.testing.assert_close(got.raw.sum((1, 2, 3)), difference, rtol=1e-9, atol=1e-10)
    assert got.extras["gap"].abs().max() < 1e-9


def test_completeness_of_resnet18():
    net, image = seeded(lambda: resnet18(num_classes=5)), tiny.images(1, size=(48, 48))
    got = deep_lift(net, image)
    assert float(got.extras["gap"].abs()) < 1e-9 * float(got.raw.abs().sum())


def test_the_class_is_that_of_the_picture_and_not_of_the_baseline():
    net, image = tiny.build(tiny.Plain), 10 * tiny.images(3)
    top, other = net(image).argmax(1), net(torch.zeros_like(image)).argmax(1)
    assert (top != other).any()
    for chunk in (1, None):
        got = pellucid.explain(net, image, "deep-lift", chunk=chunk)["deep-lift"]
        torch.testing.assert_close(got.raw, deep_lift(net, image, top.tolist()).raw)


def test_two_layers_by_hand():
    net = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 2)))
    image = tiny.images(1, size=(2, 2))
    x, r = image.flatten(), torch.full((12,), 0.3, dtype=torch.float64)
    w, b = net[1].weight.detach(), net[1].bias.detach()
    quotient = ((w @ x + b).tanh() - (w @ r + b).tanh()) / (w @ x - w @ r)
    expected = (x - r) * ((net[3].weight.detach()[1] * quotient) @ w)
    torch.testing.assert_close(deep_lift(net, image, 1, baseline=0.3).raw.flatten(), expected)


def test_where_picture_and_baseline_agree_the_multiplier_is_the_derivative():
    net, image = tiny.build(tiny.Plain, nn.Softplus()), tiny.images()
    near = deep_lift(net, image * 0 + 1e-13, 1)
    gradient = pellucid.explain(net, image * 0, "saliency", 1)["saliency"]
    torch.testing.assert_close(near.raw / 1e-13, gradient.raw, rtol=1e-6, atol=1e-9)


def test_max_pooling_by_hand():
    net = nn.Sequential(nn.MaxPool2d(2), nn.Flatten())
    image = torch.tensor([[[[1.0, 4.0], [2.0, 3.0]]]])
    # the baseline's windows have 2 everywhere: 4 is the winner and answers for 4 - 2
    assert deep_lift(net, image, 0, baseline=2.0).raw.tolist() == [[[[0, 2], [0, 0]]]]
    # the baseline's maximum, 5, is larger: its own winner, the first cell, answers for 4 - 5
    assert deep_lift(net, image, 0, baseline=5.0).raw.tolist() == [[[[-1, 0], [0, 0]]]]


def captums(net, image):
    """Captum's DeepLift, right where every activation is a module of its own and nothing is pooled by its maximum."""
    theirs = copy.deepcopy(net)
    for part in theirs.modules():
        part.inplace = False
    with pytest.warns(UserWarning, match="forward, backward"):
        return DeepLift(theirs).attribute(image.clone().requires_grad_(), torch.zeros_like(image), target=1).detach()


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Softplus(), nn.Sigmoid()])
def test_it_is_captums(activation):
    net, image = tiny.build(tiny.Plain, activation), tiny.images()
    torch.testing.assert_close(deep_lift(net, image, 1).raw, captums(net, image), rtol=1e-6, atol=1e-9)


def test_a_skip_around_an_activation_counts_where_captum_drops_it():
    net, image = tiny.build(tiny.Skip), tiny.images()
    with torch.no_grad():
        difference = (net(image) - net(torch.zeros_like(image)))[:, 1]
    torch.testing.assert_close(deep_lift(net, image, 1).raw.sum((1, 2, 3)), difference)
    assert (captums(net, image).sum((1, 2, 3)) - difference).abs().max() > 0.1 * difference.abs().max()


def test_max_pooling_is_complete_where_captums_is_not():
    net, image = vgg(), tiny.images(size=(8, 8))
    with torch.no_grad():
        difference = (net(image) - net(torch.zeros_like(image)))[:, 1]
    theirs = captums(net, image)
    assert (theirs.sum((1, 2, 3)) - difference).abs().max() > 1e-4
    got = deep_lift(net, image, 1)
    torch.testing.assert_close(got.raw.sum((1, 2, 3)), difference)
    torch.testing.assert_close(got.raw, theirs, rtol=0, atol=1e-3)


class Cumulated(tiny.Plain):
    def forward(self, x):
        return self.fc(self.features(x).cumprod(1).mean((2, 3)))


@pytest.mark.parametrize(
    ("kind", "named"), [(tiny.SliceInPlace, "writing into a part of a tensor"), (Cumulated, "cumprod")]
)
def test_operations_without_a_rule_are_named(kind, named):
    with pytest.raises(Refused, match=f"deep-lift has no rule for .*{named}"):
        deep_lift(tiny.build(kind), tiny.images())


def test_a_choice_that_may_depend_on_the_picture_is_named():
    net = tiny.build(tiny.Plain, lambda x: torch.where(x > 0, x, 0.1 * x))
    with pytest.raises(Refused, match="deep-lift has no rule for where"):
        deep_lift(net, tiny.images())


def test_rows_that_are_mixed_up_are_refused():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(48, 5)

        def forward(self, x):
            y = F.gelu(3 * x.flatten(1).T).T
            return self.fc(y)

    with pytest.raises(Refused, match="keep picture and baseline apart"):
        deep_lift(seeded(Turned), tiny.images(size=(4, 4)))


@pytest.mark.parametrize("kind", ["colours", "noise"])
def test_shap_is_the_mean_and_complete(kind):
    net, image = tiny.build(tiny.Pooled), tiny.images()
    options = {"baselines": 3, "kind": kind}
    got = pellucid.explain(net, image, "deep-lift-shap", 1, options={"deep-lift-shap": options}, seed=4)[
        "deep-lift-shap"
    ]
    assert got.extras["gap"].abs().max() < 1e-10
    again = pellucid.explain(net, image[1:], "deep-lift-shap", 1, options={"deep-lift-shap": options}, seed=4)
    torch.testing.assert_close(again["deep-lift-shap"].raw, got.raw[1:])


def test_shap_with_one_colour_is_deep_lift():
    net, image = tiny.build(tiny.Pooled), tiny.images()
    options = {"deep-lift-shap": {"baselines": 5, "spread": 0.0}}
    got = pellucid.explain(net, image, "deep-lift-shap", 1, options=options)["deep-lift-shap"]
    torch.testing.assert_close(got.raw, deep_lift(net, image, 1).raw)


@pytest.mark.parametrize("options", [{"baselines": 0}, {"kind": "pictures"}, {"spread": -1.0}])
def test_bad_options(options):
    with pytest.raises(BadOption, match="for deep-lift-shap, got"):
        pellucid.explain(tiny.build(tiny.Plain), tiny.images(), "deep-lift-shap", options={"deep-lift-shap": options})
