"""The control of maps found by optimisation: another class's map, judged for the right class."""

import torch

import pellucid
import tiny
from pellucid.capture.running import Draws

IMAGE, CLASSES = tiny.images(2), [4, 0]
OPTIONS = {
    "extremal-perturbation": {"steps": 3, "cells": 4, "areas": "0.3"},
    "meaningful-perturbation": {"steps": 3, "cells": 4},
}
METHODS = ["saliency", *OPTIONS]


def explained(net, classes=CLASSES):
    return pellucid.explain(net, IMAGE, METHODS, target=classes, options=OPTIONS)


def test_optimised_masks_are_judged_beside_another_class():
    net = tiny.build(tiny.Pooled)
    found = pellucid.evaluate(explained(net), ["deletion", "entropy", "random-target"], {"deletion": {"steps": 4}})
    far = 1 + int(Draws(0).uniform(torch.tensor([0]), torch.empty(1, 1))[0, 0] * 4)
    wrong = explained(net, [(c + far) % 5 for c in CLASSES])
    for name in OPTIONS:
        assert list(found[name, "deletion"].controls) == ["random", "centre", "edges", "wrong target"]
        given = {"wrong": wrong[name].values}
        right = pellucid.evaluate(explained(net)["saliency"], "deletion", {"deletion": {"steps": 4}}, maps=given)
        expected = right["wrong", "deletion"].values
        torch.testing.assert_close(found[name, "deletion"].controls["wrong target"].values, expected)
        assert "wrong target" in found[name, "entropy"].controls
        assert "wrong target" not in found[name, "random-target"].controls
    assert list(found["saliency", "deletion"].controls) == ["random", "centre", "edges"]


def test_without_another_class_there_is_no_such_control():
    net = torch.nn.Sequential(tiny.build(tiny.Pooled), torch.nn.Linear(5, 1).double())
    name = "meaningful-perturbation"
    found = pellucid.explain(net, IMAGE, name, options={name: OPTIONS[name]})[name].score("entropy")
    assert list(found.controls) == ["random", "centre", "edges"]
