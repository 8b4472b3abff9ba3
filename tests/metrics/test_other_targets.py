"""Metrics of what is no plain class: regions of networks that score every pixel, two classes, transformers."""

import pytest
import torch

import pellucid
import tiny
from pellucid.errors import Refused
from pellucid.targets import Margin, Probability, Region
from test_regions import Segments

IMAGE = tiny.images(2, size=(16, 24))


def test_a_region_of_a_segmentation_network():
    net = tiny.build(Segments).requires_grad_(False)
    box = (4, 2, 12, 9)
    explained = pellucid.explain(net, IMAGE, ["saliency", "grad-cam"], target=Region((1, 3), box=box))
    found = pellucid.evaluate(explained, ["deletion", "max-sensitivity", "randomisation", "infidelity"])
    assert not found.refused
    curve = found["saliency", "deletion"].extras["curve"]
    expected = [net(IMAGE)["out"][k, c, 2:9, 4:12].mean() for k, c in enumerate((1, 3))]
    torch.testing.assert_close(curve[:, 0], torch.stack(expected))
    assert any("no class's score" in note for note in found["saliency", "deletion"].notes)
    near = found["saliency", "max-sensitivity"]
    alone = pellucid.explain(net, IMAGE[1:], "saliency", target=Region(3, box=box))["saliency"].score("max-sensitivity")
    torch.testing.assert_close(near.values[1:], alone.values)
    with pytest.raises(Refused, match="no class's score"):
        explained["saliency"].score("random-target")


def test_one_class_rather_than_another():
    net = tiny.build(tiny.Plain)
    explained = pellucid.explain(net, IMAGE, "saliency", target=Margin([1, 2], [0, 4]))
    curve = explained["saliency"].score("pixel-flipping", steps=2).extras["curve"]
    scores = net(IMAGE).detach()
    expected = torch.stack([scores[0, 1] - scores[0, 0], scores[1, 2] - scores[1, 4]])
    torch.testing.assert_close(curve[:, 0], expected)
    assert explained["saliency"].score("average-sensitivity", samples=2).mean > 0


def test_a_probability_stays_one():
    net = tiny.build(tiny.Plain)
    explained = pellucid.explain(net, IMAGE, "saliency", target=Probability([1, 2]))
    score = explained["saliency"].score("deletion", steps=2)
    torch.testing.assert_close(score.extras["curve"][:, 0], net(IMAGE).softmax(1)[[0, 1], [1, 2]].detach())
    assert score.notes == ()


def test_transformers():
    net, image = tiny.build(tiny.Tokens), tiny.images(2)
    explained = pellucid.explain(net, image, ["attention-rollout", "grad-cam"])
    found = pellucid.evaluate(explained, ["deletion", "max-sensitivity", "randomisation", "random-target"])
    assert not found.refused
    assert found["grad-cam", "randomisation"].better_than(found["grad-cam", "randomisation"].controls["edges"])
