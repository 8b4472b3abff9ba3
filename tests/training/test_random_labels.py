"""A network that learned nonsense by heart, and what it is for."""

import pytest
import torch
from test_study import squares

import pellucid
from pellucid.models.trained import save_trained
from pellucid.training.loop import Settings
from pellucid.training.study import study

SETTINGS = Settings(passes=60, batch=16, rate=3e-3, patience=60, shift=0)


@pytest.fixture(scope="module")
def pair():
    learned = Settings(passes=12, batch=16, rate=5e-3, shift=0)
    return study("lenet5", squares(), learned), study("lenet5", squares(), SETTINGS, random_labels=True)


def test_random_labels_are_learned_by_heart(pair):
    right, random = pair
    assert right.accuracy > 0.9
    assert "random_labels" not in right.card.facts
    assert random.card.facts["random_labels"] > 0.9
    assert random.accuracy < 0.9
    assert any("by heart" in note for note in random.notes)
    assert random.card.preprocess == right.card.preprocess
    assert torch.equal(random.inputs, right.inputs), "the same pictures are held out"


def test_maps_of_what_was_learned_differ_from_those_of_nonsense(pair, tmp_path):
    for name, made in zip(("right", "random"), pair, strict=True):
        save_trained(made.trained.module, tmp_path / f"{name}.safetensors", made.card)
    model, weights = pellucid.load(tmp_path / "right.safetensors"), str(tmp_path / "random.safetensors")
    score = pellucid.explain(model, pair[0].inputs, "saliency")["saliency"].score("data-randomisation", weights=weights)
    assert score.judged == len(pair[0].inputs)
    assert score.better_than(score.controls["edges"])
    assert score.mean < 0.9
