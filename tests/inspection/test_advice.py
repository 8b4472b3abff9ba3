"""Which layer to look at on a picture: the protocol against a plain one, and what is made of its answers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
import tiny
from pellucid.capture.layers import Candidate
from pellucid.contracts import Grid, Site
from pellucid.engine.trial import Trial, choose, worth_trying
from pellucid.errors import BadOption

GRID = Grid("channels-first", (4, 4))


def net(act=None):
    """Its scores are far enough apart for a picture to have a class."""
    made = tiny.build(tiny.Plain, act)
    made.fc.weight.data *= 10
    return made


def pictures(count=2):
    return tiny.images(count, size=(28, 28)).abs()


def plain(module, image, path):
    """The protocol, one picture and one masked copy at a time."""
    scores = module(image)[0]
    best = scores.argsort(descending=True)[:3].tolist()
    maps = [
        pellucid.explain(module, image, "grad-cam", c, path, {"grad-cam": {"rectify": False}})["grad-cam"].raw[0]
        for c in best
    ]
    seen = [np.maximum(m.numpy(), 0).ravel() for m in maps]
    apart = 1 - np.mean([np.corrcoef(seen[0], other)[0, 1] for other in seen[1:]])
    fine = nn.functional.interpolate(maps[0][None, None], size=(112, 112), mode="bilinear")[0, 0]
    cells = fine.reshape(14, 8, 14, 8).mean((1, 3)).flatten()
    falling = torch.argsort(cells, descending=True).tolist()
    ys, xs = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    blurred = torch.empty_like(image)
    for i in range(28):  # a Gaussian of a tenth of the side, cut at four deviations as everywhere here
        for j in range(28):
            weight = torch.exp(-((ys - i) ** 2 + (xs - j) ** 2) / (2 * 2.8**2)).double()
            weight *= ((ys - i).abs() <= 11) & ((xs - j).abs() <= 11)
            blurred[0, :, i, j] = (image[0] * weight).sum((1, 2)) / weight.sum()

    def score(hidden):
        mask = torch.zeros(196, dtype=torch.bool)
        mask[hidden] = True
        mask = mask.reshape(14, 14).repeat_interleave(2, 0).repeat_interleave(2, 1)
        return float(module(torch.where(mask, blurred, image))[0, best[0]].detach())

    counts = [round(share * 196) for share in (0.1, 0.2, 0.3, 0.5)]
    gain = np.mean([score(falling[-n:]) - score(falling[:n]) for n in counts])
    return float(apart), float(gain / (score([]) - score(list(range(196)))))


@pytest.fixture(scope="module")
def found():
    return pellucid.layers(net(), pictures(1))


def test_one_masked_picture_at_a_time(found):
    for layer in found:
        apart, faithful = plain(net(), pictures(1), str(layer.site))
        assert layer.trial.discrimination == pytest.approx(apart, abs=1e-6)
        assert layer.trial.faithfulness == pytest.approx(faithful, abs=1e-6)


def test_recommendation_is_one_of_the_layers(found):
    assert [layer.site for layer in found if layer.recommended] == [found.recommended]
    assert found.reason == choose({layer.site: layer.trial for layer in found}, candidate("x"))[1]
    assert (len(found), found[0].site, found.picture) == (4, Site("conv1"), None)


def test_chunks_and_batches_change_nothing(found):
    small = pellucid.layers(net(), pictures(1), chunk=3)
    both = pellucid.layers(net(), pictures(2))
    other = pellucid.layers(net(), pictures(2)[1:])
    for a, b, c, d in zip(found, small, both, other, strict=True):
        assert b.trial.faithfulness == pytest.approx(a.trial.faithfulness, abs=1e-9)
        mean = (a.trial.faithfulness + d.trial.faithfulness) / 2
        assert c.trial.faithfulness == pytest.approx(mean, abs=1e-9)


class Spot(nn.Module):
    """Class 0 is how much of the picture is brighter than a half; the other classes want it dark."""

    def __init__(self):
        super().__init__()
        self.bright = nn.Conv2d(1, 1, 1, bias=False).double()
        nn.init.ones_(self.bright.weight)

    def forward(self, x):
        score = torch.relu(self.bright(x) - 0.5).mean((1, 2, 3))
        return torch.stack([score, -score, -score], 1)


def test_a_map_that_is_right_takes_all_and_leaves_all():
    spot = torch.zeros(1, 1, 28, 28, dtype=torch.float64)
    spot[..., 2:6, 8:12] = 1
    (layer,) = pellucid.layers(Spot(), spot)
    assert layer.trial.faithfulness == pytest.approx(1, abs=1e-12)
    assert layer.trial.discrimination == pytest.approx(1)  # the others' maps are empty


@pytest.mark.parametrize(
    ("trials", "site", "reason"),
    [
        ({"a": (0.1, 0.5), "b": (0.9, 0.2)}, "a", "the most faithful of 2 layers tried: blurring what Grad-CAM"),
        ({"a": (0.1, 0.5), "b": (0.9, 0.48)}, "b", "of the 2 most faithful of 2 layers tried the one that tells"),
        ({"a": (0.3, 0.5), "b": (0.3, 0.5), "c": (1.2, -0.1)}, "b", "of the 2 most faithful of 3 layers tried"),
        ({"a": (math.nan, 0.5), "b": (math.nan, 0.5)}, "b", "the most faithful of 2"),
        (
            {"a": (0.1, -0.5), "b": (0.9, math.nan)},
            "z",
            "faithful at none of 2 layers tried, so the last layer with a grid",
        ),
    ],
)
def test_choice(trials, site, reason):
    chosen, why = choose({Site(name): Trial(*trial) for name, trial in trials.items()}, candidate("z"))
    assert (chosen, reason in why) == (Site(site), True)


def candidate(path, **more):
    return Candidate(Site(path), "Conv2d", (8, 4, 4), GRID, (4.0, 4.0), True, **more)


def test_layers_worth_trying():
    outer = [candidate(f"b{k}") for k in range(5)]
    inner = [candidate(f"b{k}.c{j}") for k in range(5) for j in range(5)]
    deep = [candidate(f"b{k}.c{j}.d", recommended=(k, j) == (4, 4)) for k in range(5) for j in range(5)]
    useless = [replace(candidate("u"), influences=False), candidate("f", final=True)]
    found = worth_trying([*outer, *inner, *deep, *useless])
    assert [str(c.site) for c in found] == [str(c.site) for c in (*outer, *inner)] + ["b4.c4.d"]
    many = worth_trying([candidate(f"b{k}") for k in range(100)])
    assert (len(many), str(many[0].site), str(many[-1].site)) == (32, "b0", "b99")


def test_auto_looks_where_the_advice_says():
    image = pictures(1)
    advice = pellucid.layers(net(), image)
    result = pellucid.explain(net(), image, ["grad-cam", "saliency"], layer="auto")
    assert result["grad-cam"].site == advice.recommended
    assert result.choices["layer"] == advice.reason
    assert pellucid.explain(net(), image, "saliency", layer=["auto"]).choices["layer"] == "not needed"
    joined = pellucid.explain(tiny.build(tiny.Pooled), image, ["refine-cam", "grad-cam"], layer="auto")
    assert " + " in str(joined["refine-cam"].site)


def test_auto_stands_alone():
    with pytest.raises(BadOption, match="'auto' stands for one layer"):
        pellucid.explain(net(), pictures(), "grad-cam", layer=["auto", "conv1"])


def test_auto_needs_an_output_that_is_understood():
    flat = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.Flatten(2)).double()
    with pytest.raises(BadOption, match="is not understood, so layers cannot be compared by it"):
        pellucid.explain(flat, pictures(1), "grad-cam", lambda out: out.mean((1, 2)), "auto")


def test_auto_where_every_pixel_has_a_score():
    maps = tiny.build(lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    advice = pellucid.layers(maps, pictures(1))
    assert [str(layer.site) for layer in advice if layer.trial] == [
        "0",
        "1",
    ]  # the last one gives the scores themselves
    assert str(pellucid.explain(maps, pictures(1), "grad-cam", layer="auto")["grad-cam"].site) in {"0", "1"}


def test_a_single_class_cannot_be_told_apart():
    one = nn.Sequential(net(), nn.Linear(5, 1)).double()
    assert all(math.isnan(layer.trial.discrimination) for layer in pellucid.layers(one, pictures(1)))


def test_auto_can_be_stopped():
    with pytest.raises(pellucid.errors.Cancelled, match="during layers"):
        pellucid.explain(net(), pictures(1), "grad-cam", layer="auto", cancel=lambda: True)
