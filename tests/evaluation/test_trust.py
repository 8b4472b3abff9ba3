"""Trust: what the sentence rests on, scores put together picture by picture, and that an interrupt keeps the maps."""

import math
from dataclasses import replace

import pytest
import torch

import pellucid
import tiny
from pellucid.errors import Cancelled
from pellucid.evaluation import Trust, joined, trust_of
from pellucid.evaluation.trust import better, unbeaten


def score(metric, values, controls=()):
    """A score with these numbers, and controls with theirs."""
    net = tiny.build(tiny.Plain)
    made = pellucid.explain(net, tiny.images(1), "saliency")["saliency"].score(
        metric, **({"steps": 2} if metric in ("deletion", "insertion") else {"stages": 1})
    )
    values = torch.tensor(values, dtype=torch.float64)
    return replace(
        made,
        values=values,
        mean=float(values.nanmean()),
        controls={name: replace(made, values=torch.tensor(v, dtype=torch.float64)) for name, v in controls},
    )


def trust(deletion, insertion):
    own, other = [("random", [0.5] * len(deletion))], [("edges", [0.5] * len(insertion))]
    return Trust({"deletion": score("deletion", deletion, own), "insertion": score("insertion", insertion, other)}, {})


@pytest.mark.parametrize(
    ("deletion", "insertion", "level", "said"),
    [
        (0.1, 0.9, "good", "and showing them brings it back, sooner than with maps that know nothing"),
        (0.1, 0.2, "mixed", "showing them does not bring it back sooner than with the picture's edges."),
        (0.9, 0.9, "mixed", "hiding them does not take it away sooner than with a random map."),
        (0.9, 0.2, "weak", "(a random map and the picture's edges)"),
        (0.5, 0.5, "weak", "on one picture"),
    ],
)
def test_one_picture(deletion, insertion, level, said):
    found = trust([deletion], [insertion])
    assert found.level == level
    assert said in found.sentence
    assert "on one picture" in found.sentence
    assert found.sentence.startswith(level.capitalize())
    assert found.sentence.count(". ") == 0


def test_several_pictures_must_agree():
    surely, hardly = [0.1, 0.2, 0.1, 0.3, 0.2], [0.1, 0.9, 0.2, 0.9, 0.3]
    assert trust(surely, [0.9, 0.8, 0.9, 0.7, 0.8]).level == "good"
    assert trust(hardly, [0.9, 0.8, 0.9, 0.7, 0.8]).level == "mixed", "better on average is not enough"
    assert "on 5 pictures" in trust(surely, surely).sentence


def test_better_follows_the_metric_and_answers_that_are_missing():
    low, high = score("insertion", [0.2, 0.3, 0.1]), score("insertion", [0.8, 0.9, 0.7])
    assert better(high, low)
    assert not better(low, high)
    low, high = score("deletion", [0.2, 0.3, 0.1]), score("deletion", [0.8, 0.9, 0.7])
    assert better(low, high)
    assert not better(low, score("deletion", [math.nan] * 3))
    assert not better(low, low)
    assert unbeaten(score("deletion", [0.4], [("random", [0.3]), ("edges", [0.6])])) == ("random",)


@pytest.mark.parametrize(("likeness", "sane"), [(0.9, False), (0.1, True), (math.nan, None)])
def test_a_map_that_forgets_the_network_is_not_trusted(likeness, sane):
    found = trust([0.1], [0.9])
    found = replace(found, scores={**found.scores, "randomisation": score("randomisation", [likeness])})
    assert found.sane is sane
    assert found.level == ("fails" if sane is False else "good")
    assert ("likeness 0.90" in found.sentence) == (sane is False)
    assert found.known(0)["sane"] is sane


def test_without_scores_nothing_is_claimed():
    assert Trust({}, {"deletion": "No classes."}).sentence == "Not known: No classes."
    assert Trust({}, {}).level == "unknown"
    assert Trust({"deletion": score("deletion", [0.1])}, {}).level == "unknown", "one of two is not enough"


def test_explain_judges_each_map():
    net = tiny.build(tiny.Plain)
    found = pellucid.explain(net, tiny.images(2), ["saliency", "grad-cam"], target=[1, 2], trust=True)
    alone = pellucid.evaluate(found, ["deletion", "insertion"], seed=found.seed)
    for each in found:
        known = trust_of(each, found.evaluation)
        assert list(known.scores)[:2] == ["deletion", "insertion"]
        assert known.pictures == 2
        for name in ("deletion", "insertion"):
            assert torch.equal(known.scores[name].values, alone[each.method.id, name].values)
    record = trust_of(found["saliency"], found.evaluation).known(1)
    deletion = record["scores"][0]
    assert deletion["value"] == float(alone["saliency", "deletion"].values[1])
    assert len(deletion["curve"]) == len(deletion["axis"]) == 29
    assert deletion["protocol"] == str(pellucid.metrics()["deletion"].reference)
    assert (deletion["seed"], deletion["options"]["steps"]) == (0, 28)
    assert pellucid.explain(net, tiny.images(1), "saliency").evaluation is None


def test_targets_are_told_apart():
    net = tiny.build(tiny.Plain)
    found = pellucid.explain(net, tiny.images(1), "saliency", target="top2", trust=True)
    first, second = (trust_of(each, found.evaluation).scores["deletion"] for each in found)
    assert first.target != second.target
    assert first.attribution is found.attributions[0]


def test_an_interrupt_keeps_the_maps():
    asked = []

    def cancel():
        asked.append(1)
        return False

    net = tiny.build(tiny.Plain)
    pellucid.explain(net, tiny.images(1), "saliency", cancel=cancel)
    before = len(asked)
    with pytest.raises(Cancelled, match="All 1 maps are finished") as stopped:
        pellucid.explain(
            net, tiny.images(1), "saliency", trust=True, cancel=lambda: asked.append(1) or len(asked) > 2 * before + 2
        )
    partial = stopped.value.finished
    assert len(partial) == 1
    assert len(partial.evaluation) < 4


def test_joined_is_as_judged_together():
    net, pictures = tiny.build(tiny.Plain), tiny.images(3)
    together = pellucid.evaluate(pellucid.explain(net, pictures, ["saliency", "grad-cam"]), ["deletion", "insertion"])
    parts = [
        pellucid.evaluate(pellucid.explain(net, one[None], ["saliency", "grad-cam"]), ["deletion", "insertion"])
        for one in pictures
    ]
    found = joined(parts)
    assert [(s.subject, s.metric.id) for s in found] == [(s.subject, s.metric.id) for s in together]
    for one, whole in zip(found, together, strict=True):
        torch.testing.assert_close(one.values, whole.values)
        torch.testing.assert_close(one.extras["curve"], whole.extras["curve"])
        assert one.interval == pytest.approx(whole.interval)
        assert one.target == whole.target
        torch.testing.assert_close(one.controls["edges"].values, whole.controls["edges"].values)
        assert one.cost.forward == whole.cost.forward


def test_joined_leaves_gaps_where_a_score_is_missing():
    net, pictures = tiny.build(tiny.Plain), tiny.images(2)
    both = pellucid.evaluate(pellucid.explain(net, pictures[:1], ["saliency", "grad-cam"]), "deletion")
    one = pellucid.evaluate(pellucid.explain(net, pictures[1:], ["grad-cam"]), "deletion")
    found = joined([both, one])
    assert found["saliency", "deletion"].values.isnan().tolist() == [False, True]
    assert found["saliency", "deletion"].judged == 1
    assert found["grad-cam", "deletion"].judged == 2
