"""Laws that every method obeys: found in the registry, so a new method is held to them without a word here."""

import pytest
import torch
from nets import Rectified, close, numbers, pooled_net, random_maps
from torch import nn
from torch.nn import functional as F

import pellucid

IMAGE = random_maps(2, (2, 2, 8, 12))
DRAWN_FILLS = {"feature-ablation", "occlusion", "partition-shap"}  # they draw nothing but the noise of the fill `noise`
METHODS = [
    name
    for name, method in pellucid.methods().items()
    if ("rng" not in method.needs or name in DRAWN_FILLS)
    and not method.at_attention  # which no network here has
    and name != "own-mask"  # nor does any of them draw a mask
    and name != "refine-cam"  # it joins grids of several sizes, which no network here has either
]
CLASSLESS = {"eigen-cam", "fem", "kpca-cam"}  # they show the layer; the target settles a sign at most
SEGMENTS = {"xrai"}  # the segmentation goes through the picture from its upper left corner
EQUAL_SHARES = {"score-cam"}  # equal scores are equal weights after its softmax
OPTIONS = {  # windows and regions that tile the picture, so that it can be turned round
    "feature-ablation": {"regions": "2x4"},
    "partition-shap": {"regions": "2x4"},
    "occlusion": {"window": 4, "stride": 2},
    "sensitivity": {"cells": 4, "step": 0.3},
}


def explain(net, image, name, target=None):
    chosen = {name: OPTIONS[name]} if name in OPTIONS else None
    return pellucid.explain(net, image, name, target, options=chosen)[name]


@pytest.mark.parametrize("axis", [2, 3], ids=["upside down", "mirrored"])
@pytest.mark.parametrize("name", sorted({*METHODS} - SEGMENTS))
def test_symmetry(name, axis):
    """A network that does not tell a picture from its mirror image gets the mirrored map."""
    net = pooled_net()
    for layer in (net.conv1, net.conv2):
        layer.weight.data = (layer.weight + layer.weight.flip(axis)) / 2
    one, other = explain(net, IMAGE, name, [3, 1]), explain(net, IMAGE.flip(axis), name, [3, 1])
    assert one.values.abs().max() > 0
    close(other.values, numbers(one.values.flip(axis - 1)), atol=1e-10)


@pytest.mark.parametrize("name", sorted({*METHODS} - {"ablation-cam"}))  # a fraction of the score: see its own file
def test_a_constant_on_all_scores_changes_no_map(name):
    net = pooled_net()
    before = explain(net, IMAGE, name, 2)
    net.fc.bias.data += 3.0
    after = explain(net, IMAGE, name, 2)
    tolerance = 1e-4 if name == "lrp" else 1e-6  # the stabiliser takes another share of another score
    close(after.values, numbers(before.values), rtol=tolerance, atol=1e-10)


@pytest.mark.parametrize(
    "name", ["saliency", "guided-backprop", "deconvnet", "input-x-gradient", "integrated-gradients"]
)
@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_proportional_to_the_score(name, factor):
    net = Rectified(F.relu)
    image = random_maps(4, (2, 2, 5, 6))
    one = explain(net, image, name, lambda out: out[:, 1])
    many = explain(net, image, name, lambda out: factor * out[:, 1])
    close(many.raw, factor * numbers(one.raw))


@pytest.mark.parametrize("name", sorted({*METHODS} - CLASSLESS - EQUAL_SHARES))
def test_a_layer_without_influence_gives_an_empty_map_and_says_so(name):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = pooled_net()

        def forward(self, x):
            return 0 * self.net(x) + torch.tensor([1.0, 2.0, 3.0, 4.0])

    try:
        got = explain(Constant(), IMAGE, name)
    except pellucid.PellucidError:
        return  # a refusal is as honest
    assert not got.values.any()
    assert "zero everywhere" in got.notes[-1]
