"""What an output means, and defaults that fit small pictures: one small input for each fault that was found."""

import math
from itertools import pairwise, product

import pytest
import torch
from torch import nn

import pellucid
from pellucid.errors import BadModel, BadOption, Refused

TAILS = {
    "linear": nn.Identity(),
    "sigmoid": nn.Sigmoid(),
    "softmax": nn.Softmax(1),
    "log-softmax": nn.LogSoftmax(1),
    "log-sigmoid": nn.LogSigmoid(),
}


class Head(nn.Module):
    """A convolution, a mean and a linear layer; then what the network ends in."""

    def __init__(self, columns, tail=None):
        super().__init__()
        generator = torch.Generator().manual_seed(columns)
        self.conv, self.fc, self.tail = nn.Conv2d(3, 6, 3), nn.Linear(6, columns), tail or nn.Identity()
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
        self.double().eval()

    def linear(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

    def forward(self, x):
        return self.tail(self.linear(x))


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
DELETION = {"deletion": {"steps": 4}, "insertion": {"steps": 4}}


def by_gradient(function, x=X):
    """The gradient of a function of the picture, by autograd alone."""
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(function(leaf).sum(), leaf)[0]


def area(chance, x, order, steps):
    """The area under `chance` while pixels are set to 0 in this order, in so many steps: the trapezoids' sum."""
    values = []
    for step in range(steps + 1):
        hidden = x.clone().flatten(2)
        hidden[:, :, order[: round(step * len(order) / steps)]] = 0
        with torch.no_grad():
            values.append(float(chance(hidden.reshape(x.shape))))
    return sum((a + b) / 2 for a, b in pairwise(values)) / steps


def test_f3_one_logit():
    """sigmoid(s) and its gradient s' (1 - s') ds/dx, by autograd; a softmax over one number is refused."""
    net = Head(1)
    with pytest.raises(Refused, match=r"softmax over one number is 1 .* pellucid.Sigmoid\(0\) .*--target sigmoid:0"):
        pellucid.explain(net, X, ["grad-cam", "saliency"], target=pellucid.Probability(0))
    plain = pellucid.explain(net, X, "saliency")
    assert [row[0].probability for row in plain.predictions] == [None, None]
    assert [row[0].score for row in plain.predictions] == pytest.approx(net(X)[:, 0].tolist())
    assert 'answers="binary"' in plain.notes[0]
    assert "Against(0)" in plain.notes[0]
    expected = by_gradient(lambda x: net(x).sigmoid()[:, 0])
    for target in (pellucid.Sigmoid(0), "sigmoid:0"):
        found = pellucid.explain(net, X, "saliency", target)
        torch.testing.assert_close(found["saliency"].raw, expected)
    declared = pellucid.wrap(net, answers="binary")
    found = pellucid.explain(declared, X, "saliency", pellucid.Probability(0))
    torch.testing.assert_close(found["saliency"].raw, expected)
    assert found.predictions[0][0].probability == pytest.approx(net(X)[0, 0].sigmoid().item())
    other = pellucid.explain(declared, X, "saliency", "against:0")
    torch.testing.assert_close(other["saliency"].raw, -by_gradient(lambda x: net(x)[:, 0]))
    assert other["saliency"].target == ("against class 0",) * 2
    with pytest.raises(Refused, match="said to be a quantity"):
        pellucid.explain(pellucid.wrap(net, answers="regression"), X, "saliency", pellucid.Probability(0))


def test_f3_one_logit_is_judged_by_its_score_or_its_sigmoid():
    """The area under the score, or its sigmoid, while pixels are hidden, step by step by hand: never a constant 1."""
    net, x = Head(1), X[:1]
    order = pellucid.explain(net, x, "saliency")["saliency"].values.flatten().argsort(descending=True, stable=True)
    score = pellucid.explain(net, x, "saliency")["saliency"].score("deletion", steps=4)
    assert score.mean == pytest.approx(area(lambda p: net(p)[0, 0], x, order, 4))
    assert score.asked == "score"
    declared = pellucid.wrap(net, answers="binary")
    for target, chance in ((None, lambda p: net(p).sigmoid()), ("against:0", lambda p: 1 - net(p).sigmoid())):
        found = pellucid.explain(declared, x, "saliency", target)["saliency"].score("deletion", steps=4)
        own = pellucid.explain(declared, x, "saliency", target)["saliency"].values.flatten()
        assert found.mean == pytest.approx(area(chance, x, own.argsort(descending=True, stable=True), 4))
        assert found.asked == "probability"


def test_f3_several_sigmoids():
    net = Head(4, nn.Sigmoid())
    found = pellucid.explain(net, X, "saliency", pellucid.Probability(2))
    for row, expected in zip(found.predictions, net(X), strict=True):
        assert [p.probability for p in row] == pytest.approx(sorted(expected.tolist(), reverse=True), rel=1e-6)
    torch.testing.assert_close(found["saliency"].raw, by_gradient(lambda x: net(x)[:, 2]))
    assert "do not sum to 1" in found.notes[0]


@pytest.mark.parametrize(("columns", "tail"), list(product((1, 2, 3, 6), TAILS)))
def test_kind_4_heads_are_never_squeezed_twice(columns, tail):
    """Right or refused: the probability of a column is what the network's own tail makes of its linear scores."""
    net = Head(columns, TAILS[tail])
    linear = net.linear(X).detach()
    chance = {
        "linear": lambda s: s.softmax(1), "softmax": lambda s: s.softmax(1), "log-softmax": lambda s: s.softmax(1),
        "sigmoid": torch.sigmoid, "log-sigmoid": torch.sigmoid,
    }[tail]  # fmt: skip
    if columns == 1 and tail == "linear":
        with pytest.raises(Refused):
            pellucid.explain(net, X, "saliency", pellucid.Probability(0))
        return
    target = pellucid.Probability(columns - 1)
    found = pellucid.explain(net, X, "saliency", target)
    for row, expected in zip(found.predictions, chance(linear), strict=True):
        assert [p.probability for p in row] == pytest.approx([float(expected[p.index]) for p in row], rel=1e-6)
    raw = by_gradient(lambda x: chance(net.linear(x))[:, columns - 1])
    torch.testing.assert_close(found["saliency"].raw, raw, rtol=1e-7, atol=1e-12)
    judged = pellucid.evaluate(found, list(DELETION), DELETION)
    for score in judged:
        curve = score.extras["curve"]
        # the last point of deletion hides all, and the last of insertion nothing
        end = X * 0 if score.metric.id == "deletion" else X
        torch.testing.assert_close(curve[:, -1], chance(net.linear(end))[:, columns - 1].detach())


class ByHand(Head):
    """A sigmoid, and a softmax, that no name tells."""

    def __init__(self, columns, squeeze):
        super().__init__(columns)
        self.squeeze = squeeze

    def forward(self, x):
        return self.squeeze(self.linear(x))


@pytest.mark.parametrize(
    "squeeze",
    [
        lambda s: 1 / (1 + (-s).exp()),
        lambda s: (s.tanh() + 1) / 2,
        lambda s: s.exp() / s.exp().sum(1, keepdim=True),
        lambda s: (s.softmax(1) + s.sigmoid()) / 2,
        lambda s: s.softmax(1)[:, :2],  # without a background class
        lambda s: s.sigmoid_(),
        lambda s: s.sigmoid().clamp(1e-6, 1 - 1e-6),
    ],
)
def test_kind_4_squeezed_by_hand(squeeze):
    net = ByHand(3, squeeze)
    found = pellucid.explain(net, X, "saliency")
    for row, expected in zip(found.predictions, net(X), strict=True):
        assert [p.probability for p in row] == pytest.approx(sorted(expected.tolist(), reverse=True), rel=1e-6)


def test_kind_4_linear_scores_between_0_and_1_are_no_probabilities():
    """Two scores of 0.3 and 0.6 of a linear head: noise leaves that range, so a softmax makes probabilities of them."""
    net = Head(2)
    with torch.no_grad():
        net.fc.bias += torch.tensor([0.3, 0.6], dtype=torch.float64) - net.linear(X[:1])[0]
    found = pellucid.explain(net, X[:1], "saliency")
    first = 1 / (1 + math.exp(-0.3))
    assert [p.probability for p in found.predictions[0]] == pytest.approx([first, 1 - first])
    assert "taken for classes" in found.choices["answers"]


def test_kind_4_several_labels_that_were_declared():
    net = Head(3)
    found = pellucid.explain(pellucid.wrap(net, answers="multi-label"), X, "saliency", pellucid.Probability(1))
    torch.testing.assert_close(found["saliency"].raw, by_gradient(lambda x: net(x).sigmoid()[:, 1]))
    assert "answers" not in found.choices
    for answers, columns, words in (("binary", 3, "3 numbers"), ("classes", 1, "one number"), ("odd", 2, "'odd'")):
        with pytest.raises(BadOption, match=words):
            pellucid.explain(pellucid.wrap(Head(columns), answers=answers), X, "saliency")


def test_kind_4_masks_of_a_segmentation_network_are_not_squeezed_twice():
    """A lone map of probabilities is a mask where it is above 1/2, not wherever it is above 0."""
    net = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Sigmoid()).double()
    chance = net(X).detach()[:, 0]
    found = pellucid.explain(net, X, "saliency")
    for row, own in zip(found.predictions, chance, strict=True):
        assert row[0].share == pytest.approx(float((own > 0.5).double().mean()))
        assert row[0].probability == pytest.approx(float(own[own > 0.5].mean()), rel=1e-6)


@pytest.mark.parametrize("count", [2, 7])
def test_s9_class_names_of_the_wrong_length(count):
    names = [f"n{k}" for k in range(count)]
    with pytest.raises(BadModel, match=rf"{count} class names were given for Head, which scores 5 classes"):
        pellucid.explain(pellucid.wrap(Head(5), classes=names), X, "saliency")
    right = pellucid.wrap(Head(5), classes=[f"n{k}" for k in range(5)])
    assert pellucid.explain(right, X, "saliency").predictions[0][0].name.startswith("n")


def test_w2_occlusion_of_a_small_picture():
    """28 / 7 = 4 and half of it: windows of 4 by 2, and d = S(I) - S(I with the window set to 0), one by one."""
    net = Head(3)
    x = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = pellucid.explain(net, x, "occlusion", target=1)["occlusion"]
    starts = range(0, 25, 2)
    expected = torch.zeros(len(starts), len(starts), dtype=torch.float64)
    for (i, top), (j, left) in product(enumerate(starts), enumerate(starts)):
        hidden = x.clone()
        hidden[:, :, top : top + 4, left : left + 4] = 0
        expected[i, j] = (net(x) - net(hidden))[0, 1]
    torch.testing.assert_close(found.raw[0], expected, rtol=1e-6, atol=1e-9)
    assert not any("one value" in note for note in found.notes)
    whole = pellucid.explain(net, x, "occlusion", target=1, options={"occlusion": {"window": 28, "stride": 28}})
    assert any("has one value everywhere" in note for note in whole["occlusion"].notes)


def test_w2_windows_of_two_sizes():
    net, x = Head(2), X[:1]
    options = {"occlusion": {"window": (2, 4), "stride": (2, 4)}}
    found = pellucid.explain(net, x, "occlusion", target=0, options=options)["occlusion"]
    assert found.raw.shape == (1, 4, 2)
    for i, j in product(range(4), range(2)):
        hidden = x.clone()
        hidden[:, :, 2 * i : 2 * i + 2, 4 * j : 4 * j + 4] = 0
        assert float(found.raw[0, i, j]) == pytest.approx((net(x) - net(hidden))[0, 0].item(), rel=1e-6, abs=1e-9)
        assert found.values[0, 2 * i + 1, 4 * j + 3] == found.raw[0, i, j]


METHODS = {  # cells of random masks, and regions that are hidden together, are counted by what hides at least
    "occlusion": {}, "occlusion-coarse-to-fine": {}, "sensitivity": {}, "feature-ablation": {},
    "hsic": {"masks": 5}, "sobol": {"designs": 2}, "rise": {"masks": 2},
    "shapley-sampling": {"permutations": 4}, "partition-shap": {"samples": 2}, "lime": {}, "kernel-shap": {},
}  # fmt: skip
SIZES = [(4, 4), (5, 7), (4, 32), (8, 8), (13, 13), (16, 9), (28, 28), (32, 32), (64, 64)]


@pytest.mark.parametrize("method", ["occlusion", "occlusion-coarse-to-fine", "sensitivity", "feature-ablation"])
@pytest.mark.parametrize("size", SIZES)
def test_kind_10_no_default_hides_half_of_a_picture(method, size):
    """Counted in what the network is given: the share of its pixels that are not those of the picture."""
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2)) + 1
    changed = []

    def watched(net, pictures):
        changed.extend((pictures != x).any(1).double().mean((1, 2)).tolist())
        return net(pictures.square().mean((2, 3)))

    net = nn.Linear(3, 2)
    found = pellucid.explain(pellucid.wrap(net, call=watched), x, method, target=1)[method]
    assert found.values.shape == (1, *size)
    assert 0 < max(share for share in changed if share < 1) <= 0.5  # of noise, on which networks are tried, all change
    assert not any("one value everywhere" in note for note in found.notes)


@pytest.mark.parametrize("size", SIZES[:6])
def test_kind_10_defaults_of_all_methods_fit(size):
    """Cells and regions: each holds a pixel, and none holds half of the picture."""
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2)) + 1
    found = pellucid.explain(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * math.prod(size), 2)), x, list(METHODS), 1, options=METHODS
    )
    for each in found:
        if "regions" in each.extras:
            sizes = each.extras["regions"].flatten().bincount()
            assert sizes.min() >= 1
            assert 2 * sizes.max() <= math.prod(size)
        elif each.raw.shape[1:] != x.shape[2:]:
            assert all(2 <= cells <= length for cells, length in zip(each.raw.shape[1:], size, strict=True))


def test_kind_10_an_even_picture_is_cut_into_parts():
    """Superpixels follow colours, of which a black picture has one."""
    x = torch.zeros(1, 3, 32, 32)
    x[:, :, 15:17, 15:17] = 1
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
    regions = pellucid.explain(net, x, "feature-ablation")["feature-ablation"].extras["regions"]
    assert 2 * regions.flatten().bincount().max() <= 32 * 32
