"""Several targets of one call share the passes of methods that ask the same for each of them."""

import pytest
import torch

import pellucid
import tiny
from pellucid.capture.together import question_of_change
from pellucid.masking import regions
from pellucid.masking.regions import superpixels

MASKING = {
    "rise": {"masks": 20}, "hsic": {"masks": 20}, "sobol": {"designs": 2, "cells": 3}, "lime": {"regions": "2x2"},
    "kernel-shap": {"regions": "2x2", "samples": 20}, "shapley-sampling": {"regions": "2x2"}, "occlusion": {},
    "feature-ablation": {"regions": "2x2"}, "score-cam": {}, "ablation-cam": {}, "grad-cam": {}, "saliency": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def counted():
    """A model, and a list outside of it of how many rows it was given."""
    rows = []

    class Counting(tiny.Plain):
        def forward(self, x):
            rows.append(len(x))
            return super().forward(x)

    return pellucid.wrap(tiny.build(Counting)), rows


@pytest.mark.parametrize("method", MASKING)
def test_all_targets_take_no_more_rows_than_one_and_get_the_same_maps(counted, method):
    model, rows = counted
    image, options = tiny.images(1), {method: MASKING[method]}
    pellucid.explain(model, image, method, 0, options=options)  # what is found out once for each network
    rows.clear()
    alone = [pellucid.explain(model, image, method, k, options=options)[method] for k in (1, 2)]
    taken = sum(rows) / 2
    rows.clear()
    several = list(pellucid.explain(model, image, method, "all", options=options))
    assert len(several) == tiny.CLASSES
    assert 0 < sum(rows) <= taken + 2, "one more pass says how many outputs there are"
    for one, other in zip(several[1:3], alone, strict=True):
        torch.testing.assert_close(one.values, other.values, rtol=0, atol=1e-12)
        assert one.cost.forward == other.cost.forward


def test_maps_that_no_target_decides_are_judged_for_all_targets_by_the_same_passes(counted):
    model, rows = counted
    metrics, image = ["deletion", "average-drop"], tiny.images(2)
    found = list(pellucid.explain(model, image, "saliency", "all"))
    pellucid.evaluate(found[0], metrics)
    rows.clear()
    alone = pellucid.evaluate(found[1], metrics)
    taken, steps = sum(rows), 29  # of deletion, from nothing hidden to everything
    assert taken == 2 * (4 * steps + 4 * 1 + 2), "one map and three controls of two pictures; the picture, all hidden"
    pellucid.evaluate(found, metrics)  # larger batches than before, whose rows are compared once with each by itself
    rows.clear()
    several = pellucid.evaluate(found, metrics)
    maps = tiny.CLASSES + 3
    assert sum(rows) == 2 * (maps * steps + maps * 1 + 2 * 2), "each batch of maps asks for what all of it rests on"
    scores = {score.metric.id: score for score in several if score.attribution is found[1]}
    for one in alone:
        other = scores[one.metric.id]
        assert (list(one.controls), one.notes, one.cost.forward) == (
            list(other.controls),
            other.notes,
            other.cost.forward,
        )
        for a, b in [(one, other), *zip(one.controls.values(), other.controls.values(), strict=True)]:
            torch.testing.assert_close(a.values, b.values, rtol=0, atol=1e-12)
            assert {n: t.shape for n, t in a.extras.items()} == {n: t.shape for n, t in b.extras.items()}


def test_a_picture_is_cut_into_regions_once_for_all_targets_and_methods(counted, monkeypatch):
    cut = []
    monkeypatch.setattr(regions, "superpixels", lambda picture, count: cut.append(count) or superpixels(picture, count))
    options = {"lime": {"regions": 4, "samples": 8}, "feature-ablation": {"regions": 4}}
    image = tiny.images(2)
    first = pellucid.explain(counted[0], image, list(options), "all", options=options)
    assert cut == [4, 4]
    image.mul_(torch.linspace(1, 3, image.shape[3]))
    second = pellucid.explain(counted[0], image, "lime", 0, options={"lime": options["lime"]})
    assert cut == [4] * 4, "what is in the pictures has changed"
    assert not torch.equal(first["lime"].extras["regions"], second["lime"].extras["regions"])


def test_a_question_is_known_by_its_code_and_by_what_it_was_made_with():
    def made(shift):
        return [lambda rows, *_: rows + shift, lambda rows, *_: rows - shift, lambda rows, *_, k=shift: rows + k]

    same = [question_of_change(change, 3) for change in made(torch.ones(2))]
    assert len(set(same)) == 3
    assert same == [question_of_change(change, 3) for change in made(torch.ones(2))]
    assert not set(same) & {question_of_change(change, 3) for change in made(torch.zeros(2))}
    assert question_of_change(made(0)[0], 4) != question_of_change(made(0)[0], 3)
    assert question_of_change(made(n for n in range(3))[0], 3) is None
