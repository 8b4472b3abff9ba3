"""Layers of tokens, and those with the channels last, are looked at as maps: places and channels are not mixed up."""

import pytest
import torch
from dreaming_nets import noise_photo, small
from torch import nn

import pellucid
from pellucid.errors import BadSite
from pellucid.feature_visualisation.factorisation import channel_groups
from pellucid.feature_visualisation.objectives import along_each
from pellucid.pictures import prepare
from tiny import ChannelsLast, Tokens

QUICK = {"steps": 2, "transform": "none"}


@pytest.fixture
def photo(tmp_path):
    return noise_photo(tmp_path, 16, 16, 2)


def wrapped(net):
    return pellucid.wrap(net, size=16, resize=None, mean=(0.5,) * 3, std=(0.25,) * 3)


def seeded(kind):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return wrapped(kind())


def by_hand(model, layer, given):
    """Maps of `blocks.0` of `Tokens` or `mix` of `ChannelsLast`, from what the layer itself gives."""
    kept = []
    with model.module.get_submodule(layer).register_forward_hook(lambda _, __, out: kept.append(out)), torch.no_grad():
        model.module.eval()(given)
    value = kept[0]
    if value.dim() == 4:
        return value.permute(0, 3, 1, 2)
    return value[:, 2:].reshape(len(value), 4, 4, -1).permute(0, 3, 1, 2)


def fed(pictures):
    return (pictures - 0.5) / 0.25


LAYERS = [(Tokens, "blocks.0"), (ChannelsLast, "mix")]


@pytest.mark.parametrize(("kind", "layer"), LAYERS)
def test_an_activation_grid_has_the_places_of_the_picture(kind, layer, photo):
    model = seeded(kind)
    made = pellucid.dream(model, recipe="activation-grid", layer=layer, start=photo, **QUICK)
    assert len(made.pictures) == 16 and made.columns == 4
    goal = by_hand(model, layer, prepare(photo, model.preprocess).tensor[None])
    own = by_hand(model, layer, fed(made.pictures))
    directions = goal[0].flatten(1).T  # one picture for each place, row by row
    torch.testing.assert_close(made.final, along_each(own, directions, 1.0).mean((1, 2)), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("kind", "layer"), LAYERS)
def test_groups_are_of_channels(kind, layer, photo):
    model = seeded(kind)
    made = pellucid.dream(model, recipe="neuron-groups", layer=layer, start=photo, groups=2, **QUICK)
    goal = by_hand(model, layer, prepare(photo, model.preprocess).tensor[None])
    own = by_hand(model, layer, fed(made.pictures))
    expected = along_each(own, channel_groups(goal[0], 2)[1], 1.0).mean((1, 2))
    torch.testing.assert_close(made.final, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("kind", "layer"), LAYERS)
def test_units_and_places(kind, layer):
    model = seeded(kind)
    vector = tuple(float(k == 1) for k in range(len(model.module.norm.weight)))
    objectives = {
        f'neuron("{layer}", 5, 1, 2)': lambda maps: maps[:, 5, 1, 2],
        f'direction("{layer}", {vector})': lambda maps: maps[:, 1].mean((1, 2)),
        f'direction_neuron("{layer}", {vector}, row=3, column=0)': lambda maps: maps[:, 1, 3, 0],
    }
    for text, expected in objectives.items():
        made = pellucid.dream(model, text, **QUICK)
        torch.testing.assert_close(made.final, expected(by_hand(model, layer, fed(made.pictures))))


def test_channels_that_stand_last_are_the_channels():
    model = seeded(ChannelsLast)
    made = pellucid.dream(model, 'channel("mix", (11, 2))', count=2, **QUICK)
    maps = by_hand(model, "mix", fed(made.pictures))
    torch.testing.assert_close(made.final, torch.stack([maps[0, 11], maps[1, 2]]).mean((1, 2)))


def test_a_facet_of_tokens():
    model = seeded(Tokens)
    vector = tuple(float(k) for k in range(8))
    made = pellucid.dream(model, f'facet("blocks.0", {vector}, logit(1))', steps=0)
    kept = []
    block = model.module.eval().blocks[0]
    with block.register_forward_hook(lambda _, __, out: kept.append(out)):
        score = model.module(fed(made.pictures))[:, 1]
    (slope,) = torch.autograd.grad(score.sum(), kept)
    weighed = (kept[0] * slope * torch.tensor(vector))[:, 2:].sum((1, 2))
    torch.testing.assert_close(made.final, (score + weighed).detach(), atol=1e-4, rtol=1e-4)


class Shuffled(nn.Module):
    """Rows that are no places: 5 numbers for each of 7 things."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 35), nn.Linear(5, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x.mean((2, 3)))).view(-1, 7, 5)).mean(1)


def test_layers_without_places_are_refused_in_a_sentence(photo):
    model = wrapped(Shuffled())
    for recipe in ("activation-grid", "neuron-groups"):
        with pytest.raises(BadSite, match="no spatial grid"):
            pellucid.dream(model, recipe=recipe, layer="last", start=photo, **QUICK)
    with pytest.raises(BadSite, match="no spatial grid"):
        pellucid.dream(model, 'neuron("last", 1)', **QUICK)
    with pytest.raises(BadSite, match="needs a layer with 4 axes"):
        pellucid.dream(small(), 'neuron("fc", 1)', **QUICK)


def test_maps_of_one_place_stay_as_they_are():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    made = pellucid.dream(wrapped(net), 'channel("1", 2)', **QUICK)
    with torch.no_grad():
        torch.testing.assert_close(made.final, net[:2](fed(made.pictures))[:, 2, 0, 0])
