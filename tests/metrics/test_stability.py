"""Robustness: naive loops over the method itself, closed forms, and what the controls must score."""

import pytest
import torch
from torch import nn

import pellucid
import tiny
from pellucid.capture.running import Draws
from pellucid.errors import BadOption, Refused, UnknownName

IMAGE = tiny.images(3)
CLASSES = [4, 0, 2]
METRICS = ("max-sensitivity", "average-sensitivity", "local-lipschitz", "relative-input-stability")


class Smooth(tiny.Plain):
    """No kinks, so that every method's map moves with the picture."""

    def __init__(self):
        super().__init__(nn.Tanh())


def neighbours(image, samples, radius):
    reach = radius * (image.flatten(1).amax(1) - image.flatten(1).amin(1))[:, None, None, None]
    return [image + reach * (2 * Draws(0).uniform(torch.tensor([n]), image[:1]) - 1) for n in range(samples)]


def relative(first, second):
    floor = 1e-3 * float(first.abs().max())
    pairs = zip(first.flatten().tolist(), second.flatten().tolist(), strict=True)
    shares = [(a - b) / max(abs(a), floor) for a, b in pairs]
    return (sum(share**2 for share in shares) / len(shares)) ** 0.5


def twins(net, method, samples, radius, layer, **options):
    def attribute(image):
        return pellucid.explain(net, image, method, target=CLASSES, layer=layer, options=options)[method].values

    plain, found = attribute(IMAGE), {name: [[] for _ in CLASSES] for name in METRICS}
    top = net(IMAGE).argmax(1)
    for near in neighbours(IMAGE, samples, radius):
        moved, same = attribute(near), net(near).argmax(1) == top
        for k in range(3):
            e, f, x, y = plain[k], moved[k], IMAGE[k], near[k]
            found["max-sensitivity"][k].append(float((f - e).norm() / e.norm()))
            found["local-lipschitz"][k].append(float((e / e.norm() - f / f.norm()).norm() / (x - y).norm()))
            if same[k]:
                found["relative-input-stability"][k].append(relative(e, f) / relative(x, y))
    found["average-sensitivity"] = [[sum(each) / len(each)] for each in found["max-sensitivity"]]
    return {name: [max(each) for each in rows] for name, rows in found.items()}


@pytest.mark.parametrize(("method", "layer", "options"), [
    ("saliency", None, {}),
    ("grad-cam", "act1", {}),
    ("occlusion", None, {"occlusion": {"window": 8, "stride": 8}}),
])  # fmt: skip
def test_twins(method, layer, options):
    net = tiny.build(Smooth).requires_grad_(False)
    expected = twins(net, method, 3, 0.05, layer, **options)
    explained = pellucid.explain(net, IMAGE, method, target=CLASSES, layer=layer, options=options)
    found = pellucid.evaluate(explained, METRICS, {name: {"samples": 3, "radius": 0.05} for name in METRICS})
    for name in METRICS:
        assert found[method, name].values.tolist() == pytest.approx(expected[name]), name


def test_methods_share_the_passes_and_keep_their_layers():
    net = tiny.build(Smooth)
    options = {"smoothgrad": {"samples": 2}}
    both = pellucid.explain(net, IMAGE, ["saliency", "grad-cam", "smoothgrad"], layer=["act1", "act2"], options=options)
    judged = pellucid.evaluate(both, "max-sensitivity", {"max-sensitivity": {"samples": 2}})
    assert [str(s.attribution.site) for s in judged if s.subject == "grad-cam"] == ["act1", "act2"]
    for score in judged:
        where = str(score.attribution.site) if score.attribution.site else None
        own = {k: v for k, v in options.items() if k == score.subject}
        alone = pellucid.explain(net, IMAGE, score.subject, layer=where, options=own)
        expected = alone[score.subject].score("max-sensitivity", samples=2)
        torch.testing.assert_close(score.values, expected.values)


def test_fused_layers_are_fused_again():
    net = tiny.build(Smooth)
    fused = pellucid.explain(net, IMAGE, "grad-cam", layer=["act1", "act2"], fuse="max")["grad-cam"]
    near = neighbours(IMAGE, 1, 0.02)[0]
    target = net(IMAGE).argmax(1).tolist()
    moved = pellucid.explain(net, near, "grad-cam", layer=["act1", "act2"], fuse="max", target=target)["grad-cam"]
    expected = (moved.values - fused.values).flatten(1).norm(dim=1) / fused.values.flatten(1).norm(dim=1)
    torch.testing.assert_close(fused.score("max-sensitivity", samples=1).values, expected)


def test_a_linear_network_has_the_same_gradient_everywhere():
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 5)).double()
    explained = pellucid.explain(net, IMAGE, ["saliency", "input-x-gradient"])
    for name in METRICS:
        assert explained["saliency"].score(name).values.abs().max() < 1e-12
    # values g x: relative to themselves they change as the picture does, pixel by pixel and channel by channel
    found = explained["input-x-gradient"].score("max-sensitivity")
    assert found.mean > 0.01


@pytest.mark.parametrize("metric", METRICS)
def test_what_does_not_look_is_perfectly_stable(metric):
    score = pellucid.explain(tiny.build(Smooth), IMAGE, "saliency")["saliency"].score(metric)
    assert score.controls["random"].values.tolist() == [0, 0, 0]
    assert score.controls["centre"].values.tolist() == [0, 0, 0]
    assert score.controls["edges"].mean > 0
    assert score.mean > 0
    assert score.cost.backward == 3 * 10


@pytest.mark.parametrize("metric", METRICS)
def test_an_empty_map_has_no_answer(metric):
    class Silent(nn.Module):
        def forward(self, x):
            return (x.relu() * 0).mean((2, 3))

    score = pellucid.explain(Silent(), IMAGE, "saliency", target=0)["saliency"].score(metric)
    assert score.judged == 0


@pytest.mark.parametrize("metric", METRICS)
def test_refused(metric):
    explained = pellucid.explain(tiny.build(Smooth), IMAGE, "saliency")
    for options in ({"samples": 0}, {"radius": 0.0}):
        with pytest.raises(BadOption, match=metric):
            explained["saliency"].score(metric, **options)
    found = pellucid.evaluate(explained, metric, {metric: {"samples": 1}}, maps={"mine": IMAGE[:, 0]})
    assert "nothing makes it" in found.refused["mine", metric]
    with pytest.raises(UnknownName, match="nothing makes it"):
        found["mine", metric]


def test_answers_change_no_target():
    """The class stays that of the picture itself, also where a neighbour's top class is another."""
    net = tiny.build(Smooth)
    explained = pellucid.explain(net, IMAGE, "saliency")
    fixed = pellucid.explain(net, IMAGE, "saliency", target=net(IMAGE).argmax(1).tolist())
    options = {"samples": 3, "radius": 2.0}
    score = explained["saliency"].score("max-sensitivity", **options)
    torch.testing.assert_close(score.values, fixed["saliency"].score("max-sensitivity", **options).values)


def test_a_refusal_of_one_method_leaves_the_others_their_scores(monkeypatch):
    from pellucid.evaluation.asking import Reattributor

    make = Reattributor.make

    def fussy(self, rows, samples, model=None):
        if any(getattr(m, "method", None) and m.method.id == "grad-cam" for m in self.makers):
            raise Refused("not today")
        return make(self, rows, samples, model)

    monkeypatch.setattr(Reattributor, "make", fussy)
    explained = pellucid.explain(tiny.build(Smooth), IMAGE, ["saliency", "grad-cam"])
    found = pellucid.evaluate(explained, "max-sensitivity")
    assert [s.subject for s in found] == ["saliency"]
    assert found.refused == {("grad-cam", "max-sensitivity"): "not today"}
    with pytest.raises(Refused, match="not today"):
        explained["grad-cam"].score("max-sensitivity")
