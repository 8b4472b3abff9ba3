"""What an output means, and defaults that fit small pictures: one small input for each fault that was found."""

import math
from dataclasses import replace
from itertools import pairwise, product

import pytest
import torch
from torch import nn

import pellucid
from pellucid.comparison.best import best
from pellucid.comparison.page import sentence
from pellucid.errors import BadModel, BadOption, Refused
from pellucid.evaluation import trust_of
from pellucid.evaluation.bootstrap import mean_and_interval

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
    if columns == 1 and "sigmoid" not in tail:  # a softmax over one number is 1 for every picture
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


class Still(nn.Module):
    """Gives the same, whatever it sees; its gradient is zero."""

    def forward(self, x):
        return x.new_tensor([[0.2, 0.4]]) + 0 * x.mean((1, 2, 3))[:, None]


def test_newcomer_1_no_verdict_where_nothing_can_change(tmp_path, monkeypatch):
    """A softmax over one number is 1 whatever is hidden: no score, no verdict, no method ahead, none remembered."""
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path))
    for net in (Head(1, nn.Softmax(1)), Still().double()):
        found = pellucid.explain(net, X, ["saliency"], trust=True)
        for name in ("deletion", "insertion"):
            score = found.evaluation["saliency", name]
            assert (score.judged, math.isnan(score.mean), score.text) == (0, True, "none")
            assert "always the same" in score.notes[0]
            assert all(math.isnan(control.mean) for control in score.controls.values())
        trust = trust_of(found["saliency"], found.evaluation)
        assert trust.level == "unknown" or trust.sane is False
        compared = pellucid.compare(net, X, ["saliency", "occlusion"], options=DELETION, sanity=False)
        assert sentence(compared).startswith(
            "No method has a score on 2 pictures. What is measured was always the same"
        )
        with pytest.raises(Refused, match=r"none of them has a score"):
            best(compared)
    assert (
        "gives a probability of 1 whatever it sees" in pellucid.explain(Head(1, nn.Softmax(1)), X, "saliency").notes[0]
    )


def test_newcomer_1_one_picture_of_two_that_cannot_change():
    """Of a black picture hiding with 0 changes nothing: it has no answer and the mean is that of the other."""
    net, x = Head(3), torch.cat([X[:1], X[:1] * 0])
    both = pellucid.explain(net, x, "occlusion", target=1)
    score = both["occlusion"].score("deletion", steps=4)
    alone = pellucid.explain(net, X[:1], "occlusion", target=1)["occlusion"].score("deletion", steps=4)
    assert (score.judged, score.mean) == (1, pytest.approx(alone.mean))
    assert any("in 1 of 2 pictures" in note for note in score.notes)
    assert score.text.endswith("1 of 2")


def scored(compared, values):
    """A comparison with other values, by (map, metric), one for each picture."""

    def new(score, name):
        given = torch.tensor(values[name, score.metric.id], dtype=torch.float64)
        mean, interval = mean_and_interval(given, 0)
        return replace(score, values=given, mean=mean, interval=interval)

    changed = [
        replace(new(s, s.subject), controls={name: new(c, name) for name, c in s.controls.items()})
        for s in compared.evaluation
    ]
    made = replace(compared)
    made.__dict__["evaluation"] = replace(compared.evaluation, scores=tuple(changed))
    return made


@pytest.fixture(scope="module")
def compared():
    options = {"deletion": DELETION["deletion"]}
    return pellucid.compare(Head(3), X, ["saliency", "occlusion"], "deletion", options=options, sanity=False)


def test_newcomer_7_a_control_that_wins_is_the_headline(compared):
    """Deletion, lower is better: the random map has 0.1 where the methods have 0.4 and 0.5."""
    values = {("saliency", "deletion"): [0.4, 0.4], ("occlusion", "deletion"): [0.5, 0.5]}
    weak = {(name, "deletion"): [0.1, 0.1] for name in ("random", "centre", "edges")}
    found = scored(compared, values | weak)
    assert sentence(found).startswith("No method is better than maps that know nothing of the network")
    with pytest.raises(Refused, match=r"better than maps that know nothing.*Nothing is remembered"):
        best(found)
    strong = {(name, "deletion"): [0.9, 0.9] for name in ("random", "centre", "edges")}
    found = scored(compared, values | strong)
    assert "is ahead" in sentence(found)
    assert best(found).method == "saliency"


def test_equal_on_two_pictures_is_not_ahead(compared):
    """0.410 and 0.412, now one better and now the other."""
    values = {("saliency", "deletion"): [0.30, 0.52], ("occlusion", "deletion"): [0.35, 0.474]}
    controls = {(name, "deletion"): [0.9, 0.9] for name in ("random", "centre", "edges")}
    said = sentence(scored(compared, values | controls))
    assert "but not clearly ahead of" in said
    assert "is ahead" not in said


def test_an_interval_of_two_is_as_wide_as_it_must_be():
    """Of n normal values the interval holds the true mean 95 times in 100 (Student's t), also for two of them."""
    generator = torch.Generator().manual_seed(0)
    for count in (2, 3, 5):
        drawn = torch.randn(300, count, generator=generator, dtype=torch.float64)
        held = [low <= 0 <= high for low, high in (mean_and_interval(row, 0)[1] for row in drawn)]
        assert sum(held) / len(held) > 0.9
    low, high = mean_and_interval(torch.tensor([0.0, 1.0], dtype=torch.float64), 0)[1]
    assert high - low > 6  # t of one degree of freedom is 12.7, and the deviation of the mean 0.5: 12.7 wide by theory


def test_b10_means_over_different_pictures():
    """Equal where both have an answer, so equal; leaving out the picture with the worst score gains nothing."""
    x = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found = pellucid.explain(Head(4), x, "saliency")
    whole = found["saliency"].values
    once = whole.clone()
    once[found["saliency"].score("entropy").values.argmax()] = 0
    for maps in ({"all": whole, "once": once}, {"once": once, "all": whole}):
        judged = pellucid.evaluate(found, "entropy", maps=maps, controls=False)
        assert not judged["once", "entropy"].better_than(judged["all", "entropy"])
        names = [score.subject for score in judged.ranked("entropy") if score.subject in maps]
        assert names == list(maps), "as they were given: they are equal"
        assert judged["once", "entropy"].mean < judged["all", "entropy"].mean


@pytest.mark.parametrize("metric", ["increase", "average-drop"])
def test_an_empty_map_may_be_the_best_and_that_is_said(metric):
    found = pellucid.explain(Head(3), X, "saliency", target=1)
    judged = pellucid.evaluate(found, metric, maps={"empty": torch.zeros(2, 8, 8, dtype=torch.float64)})
    assert any("shows nothing" in note for note in judged["empty", metric].notes)
    assert "empty" in pellucid.metrics()[metric].caveat
