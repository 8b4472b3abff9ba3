"""Targets: one scalar per row, whatever the user passes and however rows are packed."""

from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

import pellucid
from pellucid.contracts import Classes, Frame
from pellucid.errors import BadOption, BadOutput, UnknownName
from pellucid.models import wrap
from pellucid.targets import (
    ClassScores,
    Custom,
    Logit,
    Margin,
    Part,
    Probability,
    Target,
    TargetContext,
    Top,
    are_probabilities,
    logits,
    parse_targets,
    probabilities,
    read,
)

OUTPUT = torch.tensor([[1.0, 5.0, 3.0], [7.0, 2.0, 7.0]])
BOTH = torch.tensor([0, 1])
MODEL = wrap(torch.nn.Identity(), name="net")
SOFT = wrap(torch.nn.Identity(), name="net", answers="probabilities")
NAMED = wrap(MODEL, classes=["tabby cat", "tiger cat", "golden retriever, dog"])
FRAMES = (Frame.whole((4, 4)),) * 3


def one(target, model=MODEL):
    (found,) = parse_targets(target, model)
    return found


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (1, Logit((1,))),
        ("2", Logit((2,))),
        ([0, 2], Logit((0, 2))),
        ((1, "0"), Logit((1, 0))),
        (torch.tensor([2, 1]), Logit((2, 1))),
        (torch.tensor(2), Logit((2,))),
        (None, Top(0)),
        ("top", Top(0)),
        ("Top1", Top(0)),
        (Probability((1,)), Probability((1,))),
    ],
)
def test_what_a_user_may_pass(target, expected):
    found = one(target)
    assert found == expected
    assert type(found) is type(expected)


def test_several():
    assert parse_targets("top3", MODEL) == (Top(0), Top(1), Top(2))


def test_names():
    assert one("dog", NAMED) == Logit((2,))
    assert one(["tiger cat", 0], NAMED) == Logit((1, 0))
    with pytest.raises(UnknownName, match=r"'cat' is ambiguous: 0 'tabby cat', 1 'tiger cat'"):
        one("cat", NAMED)
    assert Classes(("projectile, missile", "missile")).find("missile") == 1  # the full name of one, part of another's
    with pytest.raises(UnknownName, match=r"no class 'tabbi cat'. Did you mean 'tabby cat'"):
        one("tabbi cat", NAMED)
    with pytest.raises(BadOption, match=r"net has no class names, so 'dog' cannot be found. Give a class index"):
        one("dog")


@pytest.mark.parametrize("target", [3.5, {"class": 1}, object()])
def test_what_is_no_target(target):
    with pytest.raises(
        BadOption, match="Expected a class index, a class name, a list of these, a Target or a callable"
    ):
        parse_targets(target, MODEL)


@pytest.mark.parametrize("target", [True, [1.5], [None], torch.tensor([0.5])])
def test_what_is_no_class(target):
    with pytest.raises(BadOption, match="Expected a class index or name, got"):
        parse_targets(target, MODEL)


@pytest.mark.parametrize("target", ["top0", "top21"])
def test_too_many_or_none(target):
    with pytest.raises(BadOption, match=f"Expected top1 to top20 as target, got '{target}'"):
        parse_targets(target, MODEL)


def test_logit():
    assert Logit((1,)).score(OUTPUT, BOTH, MODEL).tolist() == [5, 2]
    assert Logit((2, 0)).score(OUTPUT, BOTH, MODEL).tolist() == [3, 7]
    for index in (3, -1):
        with pytest.raises(BadOption, match=f"Class {index} is out of range: net has 3 classes"):
            Logit((index,)).score(OUTPUT, BOTH, MODEL)


def test_rows_know_their_picture():
    rows, samples = OUTPUT[[1, 0, 1]], torch.tensor([1, 0, 1])
    assert Logit((2, 0)).score(rows, samples, MODEL).tolist() == [7, 3, 7]


@pytest.mark.parametrize("target", [Logit((0, 1)), Margin(Logit((0,)), Logit((0, 1)))])
def test_as_many_classes_as_pictures(target):
    target.fit(TargetContext(MODEL, FRAMES[:2]))
    with pytest.raises(BadOption, match=r"Expected one class or 3 \(one per picture\) as target, got 2"):
        target.fit(TargetContext(MODEL, FRAMES))


def test_predictions_are_the_highest_scores_and_of_equal_ones_the_first():
    scores = torch.tensor([[1.0, 3.0, 3.0, 0.0, 3.0, 2.0], [5.0, -1.0, 5.0, 5.0, 5.0, 5.0]])
    found = ClassScores(scores).predictions(MODEL, FRAMES[:2], 4)
    assert [[p.index for p in row] for row in found] == [[1, 2, 4, 5], [0, 2, 3, 4]]
    (few,) = ClassScores(scores[:1]).predictions(MODEL, FRAMES[:1], 9)
    assert [p.index for p in few] == [1, 2, 4, 5, 0, 3]


def test_top_and_its_ties():
    reading = ClassScores(OUTPUT)
    assert Top().resolve(reading, MODEL) == Logit((1, 0))  # of the equal sevens the first
    assert Top(1).resolve(reading, MODEL) == Logit((2, 2))
    assert Top(2).resolve(reading, MODEL).score(OUTPUT, BOTH, MODEL).tolist() == [1, 2]
    with pytest.raises(BadOption, match="There is no rank 4: net has 3 classes"):
        Top(3).resolve(reading, MODEL)
    with pytest.raises(BadOption, match="A rank has no score before"):
        Top().score(OUTPUT, BOTH, MODEL)
    with pytest.raises(BadOutput, match=r"Expected class scores \[batch, class\] from net, got shape \[3\]"):
        Top().resolve(read(OUTPUT[0], MODEL), MODEL)


def test_probability():
    expected = [OUTPUT[0].exp()[1] / OUTPUT[0].exp().sum(), OUTPUT[1].exp()[0] / OUTPUT[1].exp().sum()]
    torch.testing.assert_close(Probability((1, 0)).score(OUTPUT, BOTH, MODEL), torch.stack(expected))
    # a model that ends in a softmax gives probabilities already
    torch.testing.assert_close(Probability((1, 0)).score(OUTPUT.softmax(1), BOTH, SOFT), torch.stack(expected))


def test_margin():
    assert Margin(Logit((1,)), Logit((2,))).score(OUTPUT, BOTH, MODEL).tolist() == [2, -5]
    assert Margin(Top(), Top(1)).resolve(ClassScores(OUTPUT), MODEL) == Margin(Logit((1, 0)), Logit((2, 2)))


def test_custom():
    def brightness(out):
        return out.sum(1)

    found = one(brightness)
    assert isinstance(found, Custom)
    assert found.score(OUTPUT, BOTH, MODEL).tolist() == [9, 16]
    assert found.labels(MODEL, FRAMES[:2]) == ("brightness", "brightness")
    for function, got in [(lambda out: out, r"\[2, 3\]"), (lambda out: 3, "int"), (lambda out: out.sum(), r"\[\]")]:
        with pytest.raises(BadOutput, match=f"Expected 2 scores, one per row, from the target function, got {got}"):
            Custom(function).score(OUTPUT, BOTH, MODEL)


def test_a_target_of_ones_own():
    @dataclass(frozen=True)
    class Sum:
        def fit(self, scene):
            return self

        def resolve(self, reading, model):
            return self

        def score(self, output, samples, model):
            return output.sum(1)

        def labels(self, model, frames):
            return ("sum",) * len(frames)

    target = Sum()
    assert isinstance(target, Target)
    assert one(target) is target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Logit((1,)), ("tiger cat", "tiger cat")),
        (Logit((1, 0)), ("tiger cat", "tabby cat")),
        (Probability((0,)), ("probability of tabby cat", "probability of tabby cat")),
        (Margin(Logit((0,)), Logit((1,))), ("tabby cat rather than tiger cat",) * 2),
        (Top(1), ("class of rank 2",) * 2),
        (Logit((9,)), ("class 9",) * 2),
    ],
)
def test_labels(target, expected):
    assert target.labels(NAMED, FRAMES[:2]) == expected


def test_classes_by_name_in_every_target():
    scene = TargetContext(NAMED, FRAMES[:2])
    assert Logit("dog").fit(scene) == Logit((2,))
    assert Probability(["dog", 0]).fit(scene) == Probability((2, 0))
    assert type(Probability("dog").fit(scene)) is Probability
    assert Margin("dog", None).fit(scene) == Margin(Logit((2,)), Top())
    for wrong in ([1.5], True, {"a": 1}):
        with pytest.raises(BadOption, match="Expected a class index"):
            Logit(wrong)


@dataclass
class HandedOn:
    """As libraries hand their outputs on: some parts may be missing."""

    logits: torch.Tensor | None = None
    features: torch.Tensor | None = None


@dataclass
class Lone:
    scores: torch.Tensor


@pytest.mark.parametrize(
    "output",
    [
        OUTPUT,
        {"logits": OUTPUT, "features": OUTPUT * 2},
        SimpleNamespace(logits=OUTPUT),
        HandedOn(OUTPUT, OUTPUT * 2),
        namedtuple("Outputs", "logits aux")(OUTPUT, OUTPUT * 2),
        (OUTPUT,),
        (OUTPUT, torch.tensor([1, 2]), None),
        {"scores": OUTPUT},
        Lone(OUTPUT),
        {"out": OUTPUT, "aux": OUTPUT * 2},
    ],
    ids=["tensor", "dict", "attribute", "dataclass", "named tuple", "lone in a tuple", "lone float", "lone in a dict",
         "lone in a dataclass", "out"],
)  # fmt: skip
def test_outputs_that_are_understood(output):
    assert logits(output, MODEL) is OUTPUT


@pytest.mark.parametrize(
    ("path", "output"),
    [
        ("a", {"a": OUTPUT, "b": OUTPUT * 2}),
        (1, (OUTPUT * 2, OUTPUT)),
        ("1", [OUTPUT * 2, OUTPUT]),
        ("heads.age", {"heads": SimpleNamespace(age=OUTPUT, place=OUTPUT * 2)}),
        ("features", HandedOn(OUTPUT * 2, OUTPUT)),
        ("0.logits", (HandedOn(OUTPUT), OUTPUT * 2)),
    ],
)
def test_an_output_named_by_its_path(path, output):
    assert logits(output, wrap(MODEL, output=path)) is OUTPUT


def test_an_output_that_is_not_there():
    output = {"age": OUTPUT, "place": OUTPUT}
    with pytest.raises(UnknownName, match=r"no part 'plaice'. Did you mean 'place'\? The output has age, place"):
        logits(output, wrap(MODEL, output="plaice"))
    with pytest.raises(UnknownName, match="The output has no parts"):
        Part(0)(OUTPUT)
    with pytest.raises(BadOption, match=r"Expected a function or the path of a part as output, got 1\.5"):
        wrap(MODEL, output=1.5)


def test_an_output_that_is_picked():
    picking = wrap(MODEL, output=lambda out: out[1])
    assert logits((None, OUTPUT), picking) is OUTPUT
    assert Custom(lambda out: out[:, 0]).score((None, OUTPUT), BOTH, picking).tolist() == [1, 7]


@pytest.mark.parametrize(
    ("output", "got"),
    [
        (OUTPUT[0], r"shape \[3\], torch.float32"),
        (OUTPUT.int(), r"shape \[2, 3\], torch.int32"),
        ((OUTPUT, OUTPUT), r"tuple with 0: \[2, 3\], 1: \[2, 3\]"),
        ({"a": OUTPUT, "b": OUTPUT[0]}, r"dict with a: \[2, 3\], b: \[3\]"),
        ("text", "str"),
    ],
)
def test_outputs_that_are_not(output, got):
    with pytest.raises(BadOutput, match=rf"Expected class scores \[batch, class\] from net, got {got}.*output="):
        logits(output, MODEL)


def test_probabilities_are_not_squeezed_twice():
    soft = OUTPUT.softmax(1)
    assert are_probabilities(soft)
    assert not are_probabilities(OUTPUT)
    torch.testing.assert_close(probabilities(soft, SOFT), soft)
    torch.testing.assert_close(probabilities(OUTPUT, MODEL), soft)


def test_one_class_per_picture_through_explain():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    image = torch.randn(2, 1, 2, 2)
    raw = pellucid.explain(net, image, "saliency", [2, 0])["saliency"].raw
    torch.testing.assert_close(raw.flatten(1), net[1].weight[[2, 0]].detach())
    raw = pellucid.explain(net, image, "saliency", Margin(Logit((2,)), Logit((1,))))["saliency"].raw
    torch.testing.assert_close(raw[0].flatten(), (net[1].weight[2] - net[1].weight[1]).detach())


TEXTS = {
    "rank2": Top(1),
    "Rank1": Top(0),
    "tabby cat vs tiger cat": Margin(Logit(0), Logit(1)),
    "top vs rank2": Margin(Top(0), Top(1)),
    "dog vs 1": Margin(Logit(2), Logit(1)),
    "probability:dog": Probability(2),
    "probability: 1": Probability(1),
    "probability:top": Probability(),
    "probability": Probability(),
}


@pytest.mark.parametrize("text", TEXTS)
def test_targets_in_words(text):
    found = one(text, NAMED)
    assert found == TEXTS[text]
    assert type(found) is type(TEXTS[text])


@pytest.mark.parametrize(
    ("text", "classes", "place"),
    [
        ("dog@120,40,300,280", (2,), {"box": (120, 40, 300, 280)}),
        (" 1 @ 1.5, 2, 30.25, 40 ", (1,), {"box": (1.5, 2, 30.25, 40)}),
        ("top@10,20", None, {"point": (10, 20)}),
        ("@10,20,30,40", None, {"box": (10, 20, 30, 40)}),
        ("tiger cat@3,4", (1,), {"point": (3, 4)}),
    ],
)
def test_places_in_words(text, classes, place):
    found = one(text, NAMED)
    assert found.region.classes == classes
    assert {name: getattr(found.region, name) for name in place} == place
    if "box" in place:
        assert (found.detection.classes, found.detection.box) == (classes, place["box"])
    else:
        assert found.detection is None


def test_words_that_mean_nothing():
    for text, message in (
        ("rank0", "Expected rank1 to rank20 as target, got 'rank0'"),
        ("dog@1,2,3", "Expected a box .* or a point .* behind the @ of 'dog@1,2,3', got 3 numbers"),
        ("dog@7", "got 1 number"),
    ):
        with pytest.raises(BadOption, match=message):
            one(text, NAMED)
    for text in ("dog@here", "wolf@1,2", "dog vs wolf", "probability:wolf"):
        with pytest.raises(UnknownName, match="There is no class"):
            one(text, NAMED)
    assert one("at@home", wrap(MODEL, classes=["at@home", "b"])) == Logit(0)


def test_names_of_classes_come_before_their_meaning():
    odd = wrap(MODEL, classes=["cat vs dog", "a@1,2", "like: it"])
    for index, name in enumerate(odd.classes.names):
        assert one(name, odd) == Logit(index)
    assert one("a@1,2 vs Like: It", odd) == Margin(Logit(1), Logit(2))


def test_a_head_that_was_not_flattened():
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Conv2d(2, 3, 1))
    image = torch.randn(2, 2, 4, 4)
    result = pellucid.explain(net, image, "saliency", "rank2")
    order = net(image).flatten(1).sort(dim=1, descending=True).indices
    expected = net[1].weight.detach()[order[:, 1], :] / 16
    torch.testing.assert_close(result["saliency"].raw, expected.expand(2, 2, 4, 4))
    assert result["saliency"].target == tuple(f"class {k}" for k in order[:, 1].tolist())
    assert [len(row) for row in result.predictions] == [3, 3]


def test_places_where_the_picture_is_scored_as_a_whole():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    with pytest.raises(BadOutput, match="scores the picture as a whole, so its target has no place in it"):
        pellucid.explain(net, torch.randn(2, 1, 2, 2), "saliency", "1@0,0,1,1")
    with pytest.raises(BadOption, match="call resolve first"):
        one("dog@1,2", NAMED).score(OUTPUT, BOTH, NAMED)


def test_the_probability_of_the_top_class():
    reading = ClassScores(OUTPUT)
    assert Probability().resolve(reading, MODEL) == Probability((1, 0))
    assert type(Probability().resolve(reading, MODEL)) is Probability
    assert Margin(Probability(), 2).resolve(reading, MODEL) == Margin(Probability((1, 0)), Logit(2))
    assert Probability().labels(NAMED, FRAMES[:2]) == ("probability of the top class",) * 2


def test_words_through_explain():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    image, weight = torch.randn(2, 1, 2, 2), net[1].weight.detach()
    result = pellucid.explain(net, image, "saliency", "0 vs 2")
    torch.testing.assert_close(result["saliency"].raw.flatten(1), (weight[0] - weight[2]).expand(2, -1))
    assert result["saliency"].target == ("class 0 rather than class 2",) * 2
    assert result.target == "0 vs 2"
    order = net(image).sort(dim=1, descending=True).indices
    raw = pellucid.explain(net, image, "saliency", "top vs rank3")["saliency"].raw.flatten(1)
    torch.testing.assert_close(raw, weight[order[:, 0]] - weight[order[:, 2]])
