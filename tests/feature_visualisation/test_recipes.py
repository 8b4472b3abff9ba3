"""Composed recipes: found by looking, each draws what it says, and bad wishes are answered in a sentence."""

import numpy as np
import pytest
import torch
from dreaming_nets import noise_photo, small
from PIL import Image

import pellucid
from pellucid.cli.options import described_arguments
from pellucid.errors import BadOption, UnknownName
from pellucid.feature_visualisation.recipes import recipes

QUICK = {"steps": 3, "transform": "none"}


@pytest.fixture
def photo(tmp_path):
    return noise_photo(tmp_path, 24, 36, 0)


def test_every_recipe_is_found_and_described():
    assert {"deep-dream", "diversity", "interpolation"} <= set(recipes())
    for recipe in recipes().values():
        described = described_arguments(recipe)
        assert list(described) == ["draw", *recipe.needs, *recipe.options], recipe.id
        assert all((recipe.summary, recipe.title, recipe.caveat, recipe.reference.where))


def test_interpolation_ends_at_the_units_themselves():
    wishes = {"layer": "conv2", "units": (1, 5), **QUICK}
    made = pellucid.dream(small(), recipe="interpolation", frames=3, alignment=0.0, **wishes)
    alone = pellucid.dream(small(), 'channel("conv2", (1, 5, 5))', count=3, **QUICK)
    torch.testing.assert_close(made.pictures[2], alone.pictures[2], atol=1e-5, rtol=0)
    torch.testing.assert_close(made.final[0], alone.final[0], atol=1e-5, rtol=0)
    first, last = (made.terms[f'channel("conv2", {unit})'.replace('"', "'")] for unit in (1, 5))
    torch.testing.assert_close(made.final[1], (first[1] + last[1]) / 2)
    assert made.titles[1] == "50% of 1, 50% of 5"
    assert (made.made_by, made.options) == ("interpolation", {"frames": 3, "alignment": 0.0})


def test_alignment_holds_neighbours_alike():
    wishes = {"layer": "conv2", "units": (1, 5), "frames": 3, "steps": 15, "transform": "none"}
    alone, held = (pellucid.dream(small(), recipe="interpolation", alignment=a, **wishes) for a in (0.0, 3.0))
    apart = [(m.pictures[0] - m.pictures[1]).square().mean() for m in (alone, held)]
    assert apart[1] < apart[0]


def test_facets_are_less_alike_than_without_diversity():
    wishes = {"layer": "conv1", "units": 1, "facets": 3, "steps": 15, "transform": "none"}
    alone, facets = (pellucid.dream(small(), recipe="diversity", weight=w, **wishes) for w in (1e-6, 3.0))
    alike = [m.terms["diversity('conv1')"].mean() for m in (alone, facets)]
    assert alike[1] < alike[0] - 0.01
    assert len(facets.pictures) == 3


def test_deep_dream_keeps_the_photographs_shape_and_climbs(photo):
    wishes = {"layer": "conv2", "start": photo, "transform": "none"}
    still = pellucid.dream(small(), recipe="deep-dream", octaves=2, steps=0, **wishes)
    made = pellucid.dream(small(), recipe="deep-dream", octaves=2, steps=5, **wishes)
    assert made.pictures.shape == (1, 3, 16, 24)
    assert made.final > still.final
    with Image.open(photo) as image:
        own = torch.from_numpy(np.asarray(image.resize((24, 16), Image.Resampling.BICUBIC)).copy()) / 255
    torch.testing.assert_close(still.pictures[0], own.permute(2, 0, 1), atol=0.02, rtol=0)  # 0 steps: noise alone


def test_networks_of_one_size_dream_one_octave(photo):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4 * 14 * 14, 2))
    made = pellucid.dream(pellucid.wrap(net, size=16), recipe="deep-dream", layer="0", start=photo, octaves=2, steps=2)
    assert made.pictures.shape == (1, 3, 16, 16)
    assert "one octave" in made.notes[-1]


def test_an_interrupted_octave_is_the_last(photo):
    def stop(_label, done, _all):
        raise KeyboardInterrupt

    made = pellucid.dream(small(), recipe="deep-dream", layer="conv2", start=photo, octaves=2, progress=stop)
    assert made.stopped
    assert made.pictures.shape == (1, 3, 11, 17)


def test_inversion_finds_the_photograph_from_an_early_layer(photo):
    wishes = {"layer": ("conv1", "conv2"), "start": photo}
    made = pellucid.dream(small(), recipe="inversion", steps=150, **wishes)
    assert made.titles == ("conv1", "conv2")
    assert made.final[0] > -0.1
    own = made.beside[0][0]
    goal = torch.from_numpy(np.asarray(own).copy()).permute(2, 0, 1) / 255
    errors = (made.pictures - goal).square().mean((1, 2, 3))
    assert errors[0] < 0.3 * (goal - 0.5).square().mean(), "most of the photograph is known at the first layer"
    assert errors[0] < errors[1], "less of it is known at the second"


def test_caricature_points_where_the_photograph_does(photo):
    wishes = {"layer": "conv1", "start": photo, "transform": "none"}
    still, made = (pellucid.dream(small(), recipe="caricature", steps=steps, **wishes) for steps in (0, 15))
    assert made.final > 2 * still.final


def test_kernels_of_the_first_layer_prefer_their_own_weights():
    model = small()
    made = pellucid.dream(model, recipe="kernels", layer="conv1", steps=120)
    weights = model.module.conv1.weight.detach()
    assert made.pictures.shape == (6, 3, 3, 3)
    signs = (weights.sign() * (made.pictures - 0.5).sign() * weights.abs()).sum((1, 2, 3)) / weights.abs().sum(
        (1, 2, 3)
    )
    assert (signs > 0.9).all(), "white where a weight is positive, black where it is negative"
    best = 2 * weights.abs().sum((1, 2, 3)) + model.module.conv1.bias  # pictures reach -2 to 2 for the network
    assert (made.final > 0.9 * best).all()
    some = pellucid.dream(model, recipe="kernels", layer="conv2", units=(7, 2), steps=2)
    assert some.titles == ("7", "2")
    assert some.pictures.shape == (2, 3, 5, 5)
    assert "receptive field, 5 x 5" in some.notes[-1]


@pytest.mark.parametrize(
    ("wishes", "error", "words"),
    [
        ({"recipe": "deep-dreams"}, UnknownName, "deep-dream"),
        ({"recipe": "deep-dream", "layer": "conv2"}, BadOption, "needs a picture to start from"),
        ({"recipe": "diversity", "layer": "conv2", "units": (1, 2)}, BadOption, "needs one unit"),
        ({"recipe": "diversity", "layer": ("conv1", "conv2"), "units": 1}, BadOption, "Expected one layer"),
        ({"recipe": "interpolation", "layer": "conv2", "units": 1}, BadOption, "two units"),
        ({"recipe": "interpolation", "layer": "conv2", "units": (1, 2), "octaves": 3}, BadOption, "no use for octaves"),
        ({"recipe": "interpolation", "objective": "logit(1)"}, BadOption, "makes its objective"),
        ({"recipe": "diversity", "layer": "conv2", "units": 1, "transform": "maco"}, BadOption, "views"),
        ({}, BadOption, "Expected an objective"),
    ],
)
def test_wishes_that_cannot_be_met(wishes, error, words):
    with pytest.raises(error, match=words):
        pellucid.dream(small(), **wishes)
