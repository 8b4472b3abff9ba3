"""Kinds of output through the whole program: labels, quantities, both sides of one answer, and what a config says."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import pellucid
from pellucid.adversarial import fool, from_noise
from pellucid.cli import main
from pellucid.errors import BadModel, BadOption, BadOutput, Refused

X = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WEIGHTS = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 1.0, 1.0], [1.0, 2.0, -0.5]], dtype=torch.float64)


class Net(nn.Module):
    """Linear in the mean colour of a rectified picture; `tail` and `config` as networks of other people have them."""

    def __init__(self, columns, tail=None, **config):
        super().__init__()
        self.conv, self.fc, self.tail = nn.Conv2d(3, 3, 1, bias=False), nn.Linear(3, columns), tail or nn.Identity()
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[..., None, None])
            self.fc.weight.copy_(WEIGHTS[:columns])
            self.fc.bias.copy_(torch.tensor([-0.5, 0.75, -1.5])[:columns])
        self.config = SimpleNamespace(**config)
        self.double()

    def linear(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

    def forward(self, x):
        return {"logits": self.tail(self.linear(x))}


def labels(found):
    return [each.target[0] for each in found]


def over(chance, limit):
    """Numbers of the columns that are above in a picture of `[picture, column]`, the largest first."""
    best = chance.amax(0)
    return [k for k in best.argsort(descending=True).tolist() if best[k] > limit]


@pytest.mark.parametrize("tail", [None, nn.Sigmoid(), nn.LogSigmoid()])
@pytest.mark.parametrize("above", [0.3, 0.5])
def test_each_label_above_its_threshold_has_a_map(tail, above):
    net = Net(3, tail)
    model = pellucid.wrap(net, above=above, answers=None if tail else "multi-label")
    found = pellucid.explain(model, X, "occlusion", options={"occlusion": {"window": 8, "stride": 8}})
    wanted = over(net.linear(X).detach().sigmoid(), above)
    assert labels(found) == [f"class {k}" for k in wanted]
    assert f"above {above}" in found.choices["class"]
    scores = net(X)["logits"] - net(X * 0)["logits"]
    for each, k in zip(found, wanted, strict=True):  # the window hides all of the picture
        torch.testing.assert_close(each.raw[:, 0, 0], scores[:, k].detach(), rtol=1e-6, atol=1e-9)
    chances = net.linear(X).detach().sigmoid()
    for row, expected in zip(found.predictions, chances, strict=True):
        assert [p.probability for p in row] == pytest.approx([float(expected[p.index]) for p in row], rel=1e-6)


def test_thresholds_of_labels():
    net = Net(3)
    model = pellucid.wrap(net, answers="multi-label", above=0.99)
    found = pellucid.explain(model, X[:1], "saliency")
    assert labels(found) == [f"class {int(net.linear(X[:1]).argmax())}"]
    assert "no label has a probability above 0.99" in found.choices["class"]
    each = pellucid.wrap(model, above=(0.99, 0.99, 0))
    assert labels(pellucid.explain(each, X[:1], "saliency")) == ["class 2"]
    with pytest.raises(BadOption, match=r"2 thresholds were given for 3 labels.*--above"):
        pellucid.explain(pellucid.wrap(model, above=(0.1, 0.2)), X[:1], "saliency")
    for wrong in (1, -0.1, "much", [], [0.5, None], float("nan"), True):
        with pytest.raises(BadOption, match="--above"):
            pellucid.wrap(net, above=wrong)


def test_at_most_ten_labels():
    many = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 14), nn.Sigmoid()).double()
    found = pellucid.explain(pellucid.wrap(many, above=0), X[:1], [])
    assert "the 10 strongest of 14" in found.choices["class"]
    assert len(pellucid.explain(pellucid.wrap(many, above=0), X[:1], "saliency")) == 10
    assert len(found.predictions[0]) == 10


def test_a_softmax_without_all_of_its_columns_still_is_of_classes():
    """Two of three probabilities do not sum to 1: what made them tells more than their sum."""
    net = Net(3, nn.Softmax(1))
    model = pellucid.wrap(net, output=lambda found: found["logits"][:, :2])
    assert len(pellucid.explain(model, X, "saliency")) == 1


def test_a_quantity_is_explained_up_and_down_with_its_unit():
    net = Net(1)
    model = pellucid.wrap(net, unit="years", classes=["age"])
    options = {"occlusion": {"window": 4, "stride": 4}}
    found = pellucid.explain(model, X, ["occlusion", "grad-cam"], options=options)
    assert labels(found) == ["age up", "age up", "age down", "age down"]
    torch.testing.assert_close(found.attributions[0].raw, -found.attributions[2].raw, rtol=0, atol=0)
    assert not torch.equal(found.attributions[1].values, found.attributions[3].values)
    (first, *_), _ = found.predictions
    assert first.known == {"index": 0, "name": "age", "score": pytest.approx(net.linear(X)[0].item()), "unit": "years"}
    several = pellucid.explain(pellucid.wrap(Net(3), answers="regression"), X, "saliency")
    assert labels(several) == [f"quantity {k} {way}" for k in range(3) for way in ("up", "down")]
    assert [p.index for p in several.predictions[0]] == [0, 1, 2], "in their own order: quantities are no rivals"
    with pytest.raises(BadOption, match="--answers regression"):
        pellucid.wrap(net, unit="years", answers="binary")


ASKED = ["grad-cam", "saliency", "guided-backprop", "integrated-gradients", "occlusion", "lrp", "deep-lift"]


@pytest.mark.parametrize("tail", [None, nn.Sigmoid()])
def test_both_sides_by_name(tail):
    """With a name for each side the maps are those of the number and of what speaks against it, in every method."""
    net = Net(1, tail)
    plain = pellucid.wrap(net, answers=None if tail else "binary")
    named = pellucid.wrap(plain, classes=["no", "yes"])
    methods = ASKED if tail is None else ["saliency", "occlusion"]
    for name, target in (("yes", 0), ("no", pellucid.Against(0))):
        expected = pellucid.explain(plain, X, methods, target)
        for each in pellucid.explain(named, X, methods, name):
            torch.testing.assert_close(each.values, expected[each.method.id].values, rtol=1e-6, atol=1e-9)
    found = pellucid.explain(named, X, "saliency")
    chance = net.linear(X).detach().sigmoid()[:, 0]
    for row, yes in zip(found.predictions, chance.tolist(), strict=True):
        assert {p.name: p.probability for p in row} == pytest.approx({"yes": yes, "no": 1 - yes})
    assert {each.target[0] for each in found} == {"yes", "no"}
    assert labels(pellucid.explain(plain, X, "saliency")) == ["class 0", "against class 0"]


def test_two_names_of_a_number_that_nobody_explained():
    with pytest.raises(BadModel, match='say answers="binary" \\(--answers binary\\)'):
        pellucid.explain(pellucid.wrap(Net(1), classes=["no", "yes"]), X, "saliency")


def test_the_config_of_a_module_is_read_and_said():
    names = {0: "cat", "1": "dog", 2: "fox"}
    net = Net(3, problem_type="multi_label_classification", id2label=names)
    found = pellucid.explain(net, X, "saliency")
    assert labels(found) == [names.get(k, "dog") for k in over(net.linear(X).detach().sigmoid(), 0.5)]
    assert "problem_type multi_label_classification" in found.choices["answers"]
    said = pellucid.explain(pellucid.wrap(net, answers="classes"), X, "saliency")
    assert len(said) == 1
    assert sum(p.probability for p in said.predictions[0]) == pytest.approx(1)
    assert "answers" not in said.choices, "what the caller says comes first"
    number = Net(1, problem_type="regression", id2label={0: "LABEL_0"})
    assert labels(pellucid.explain(number, X, "saliency")) == ["quantity 0 up", "quantity 0 down"]
    other = Net(2, problem_type=None, id2label=names)  # names of something else
    assert pellucid.explain(other, X, "saliency").predictions[0][0].name.startswith("class")


@pytest.mark.parametrize(
    ("net", "kind", "words"),
    [
        (Net(1), None, "softmax over one number"),
        (Net(1), "regression", "said to be a quantity"),
        (Net(3), "regression", "said to be a quantity"),
        (Net(1, nn.Softmax(1)), None, "probability of 1 whatever it sees"),
    ],
)
def test_no_probability_where_there_is_none(net, kind, words):
    model = pellucid.wrap(net, answers=kind)
    found = pellucid.explain(model, X, [])
    assert all(p.probability is None for row in found.predictions for p in row)
    wanted = [
        pellucid.Probability(0),
        pellucid.Margin(pellucid.Probability(0), 0),
        pellucid.Against(pellucid.Probability(0)),
    ]
    if words != "softmax over one number":
        wanted.append(pellucid.Sigmoid(0))
    for target in wanted:
        with pytest.raises(Refused, match=words):
            pellucid.explain(model, X, "saliency", target)


def fed(net, **told):
    return pellucid.wrap(net.float(), size=8, mean=(0, 0, 0), std=(1, 1, 1), **told)


def test_fool_counts_no_probability_twice():
    """Noise is `sure` of a class by the network's own probability; of both sides of one answer the other is found."""
    for net, told, sure in (
        (Net(3, nn.Softmax(1)), {}, 0.25), (Net(3, nn.Sigmoid()), {}, 0.55), (Net(3), {"answers": "multi-label"}, 0.55),
    ):  # fmt: skip
        made = from_noise(fed(net, **told), 2, sure=sure)
        linear = [net.linear(x).detach() for x in (made.before, made.after)]
        squeezed = [s.softmax(1) if isinstance(net.tail, nn.Softmax) else s.sigmoid() for s in linear]
        before, after = (float(chances[0, 2]) for chances in squeezed)
        assert before < sure <= after
    net = Net(1)
    made = fool(fed(net, answers="binary", classes=["no", "yes"]), X.float(), eps=0.9, attack="iterated")
    assert bool(made.flipped.all())
    assert (net.linear(made.before)[:, 0] > 0).tolist() == made.scores_before.argmax(1).bool().tolist()
    assert (net.linear(made.after)[:, 0] > 0).tolist() == made.scores_after.argmax(1).bool().tolist()
    with pytest.raises(BadOutput, match="name both sides"):
        fool(fed(net, answers="binary"), X.float())
    with pytest.raises(Refused, match="gives quantities"):
        fool(fed(Net(3), answers="regression"), X.float())


FILE = """
import torch
from torch import nn

def net(columns, tail=None):
    made = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, columns))
    return nn.Sequential(*made, tail) if tail else made

def one():
    return net(1)

def soft():
    return net(3, nn.Softmax(1))

def apart():
    return net(3, nn.Sigmoid())
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(FILE)
    drawn = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    Image.fromarray(drawn).save("a.png")
    return tmp_path


def written(capsys, *words):
    assert main([*words, "--size", "16", "--json"]) in (0, 4)
    return json.loads(capsys.readouterr().out)


def test_commands_show_a_quantity_as_one(folder, capsys):
    of = ["a.png", "--model", "nets.py:one", "--unit", "years"]
    document = written(capsys, "explain", *of, "-m", "saliency")
    (picture,) = document["pictures"]
    assert [each["target"] for each in picture["attributions"]] == ["quantity 0 up", "quantity 0 down"]
    (said,) = picture["predictions"]
    assert (said["unit"], "probability" in said) == ("years", False)
    page = (folder / "pellucid-out" / "a" / "report.html").read_text()
    assert f"It gives “quantity 0” {said['score']:.4g} years" in page
    assert "unit=&#39;years&#39;" in page
    assert "100 %" not in page.partition("<body")[2].partition("<script")[0]
    for command in ("locate", "compare"):
        methods = ["--method", "saliency"] if command == "locate" else ["-m", "saliency", "--metric", "entropy"]
        assert "100.0%" not in json.dumps(written(capsys, command, *of, *methods))
    assert main(["fool", *of[:3], "--size", "16", "--answers", "regression"]) == 2
    assert "gives quantities" in capsys.readouterr().err
    assert main(["dream", "nets.py:one", "--objective", "probability(0)", "--size", "16", "--steps", "1"]) != 0
    assert "softmax over one number" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["soft", "apart"])
def test_commands_agree_on_the_probability(folder, capsys, name):
    of = ["a.png", "--model", f"nets.py:{name}"]
    (picture,) = written(capsys, "explain", *of, "-m", "saliency", "--above", "0.999")["pictures"]
    first = picture["predictions"][0]
    assert first["probability"] == pytest.approx(first["score"])
    fooled = written(capsys, "fool", *of, "--eps", "0", "--method", "saliency")
    assert fooled["before"]["probability"] == pytest.approx(first["probability"], rel=1e-5)
    located = written(capsys, "locate", *of, "--method", "saliency", "--above", "0.999")
    assert located["annotations"][0]["score"] == pytest.approx(first["probability"], rel=1e-5)
