"""Several targets of one call share the passes of methods that ask the same for each of them."""

import pytest
import torch

import pellucid
import tiny
from pellucid.capture.together import question_of_change

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


def test_a_question_is_known_by_its_code_and_by_what_it_was_made_with():
    def made(shift):
        return [lambda rows, *_: rows + shift, lambda rows, *_: rows - shift, lambda rows, *_, k=shift: rows + k]

    same = [question_of_change(change, 3) for change in made(torch.ones(2))]
    assert len(set(same)) == 3
    assert same == [question_of_change(change, 3) for change in made(torch.ones(2))]
    assert not set(same) & {question_of_change(change, 3) for change in made(torch.zeros(2))}
    assert question_of_change(made(0)[0], 4) != question_of_change(made(0)[0], 3)
    assert question_of_change(made(n for n in range(3))[0], 3) is None
