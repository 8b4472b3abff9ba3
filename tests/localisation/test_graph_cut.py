"""Graph cuts against trying out every labelling; colour models and views by hand."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from spot_nets import colour_model

import pellucid
from pellucid.contracts import Picture
from pellucid.errors import BadOption, UnknownName
from pellucid.localisation.graph_cut import Colours, contrasts, graph_cut, minimum_cut, seeds
from pellucid.localisation.views import averaged, windows
from pellucid.pictures import prepare


def energy(labels, preference, z, gamma):
    """The formula of the module's docstring, pair by pair."""
    rows, columns = labels.shape
    places = list(itertools.product(range(rows), range(columns)))
    pairs = [(m, n) for m, n in itertools.combinations(places, 2) if max(abs(m[0] - n[0]), abs(m[1] - n[1])) == 1]
    beta = 1 / (2 * np.mean([((z[m] - z[n]) ** 2).sum() for m, n in pairs]))
    cost = sum(preference[m] for m in places if labels[m])
    for m, n in pairs:
        if labels[m] != labels[n]:
            distance = np.hypot(m[0] - n[0], m[1] - n[1])
            cost += gamma * np.exp(-beta * ((z[m] - z[n]) ** 2).sum()) / distance
    return cost


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("gamma", [0.3, 1.5])
def test_the_cut_is_the_best_of_all_labellings(seed, gamma):
    rng = np.random.default_rng(seed)
    z, preference = rng.random((3, 3, 3)), rng.normal(size=(3, 3))
    labellings = [np.array(bits, bool).reshape(3, 3) for bits in itertools.product([0, 1], repeat=9)]
    best = min(energy(labels, preference, z, gamma) for labels in labellings)
    found = minimum_cut(preference, contrasts(z, gamma), 9 * gamma + 99)
    assert energy(found, preference, z, gamma) == pytest.approx(best, abs=0.02)  # costs are rounded to whole numbers


def test_without_contrast_each_pixel_has_its_wish():
    preference = np.random.default_rng(0).normal(size=(5, 4))
    found = minimum_cut(preference, [w * 0 for w in contrasts(np.zeros((5, 4, 3)), 1.0)], 100.0)
    np.testing.assert_array_equal(found, preference < 0)


def test_large_pictures_do_not_overflow():
    preference = np.full((224, 224), -1e9)
    preference[:, 112:] = 1e9
    found = minimum_cut(preference, contrasts(np.zeros((224, 224, 3)), 50.0), 450.0)
    np.testing.assert_array_equal(found, preference < 0)


def test_the_colours_of_a_few_salient_pixels_find_the_whole_thing():
    rng = np.random.default_rng(0)
    pixels = rng.integers(20, 60, (40, 50, 3)).astype(np.uint8)
    pixels[10:30, 15:40] = rng.integers(180, 220, (20, 25, 3))
    saliency = rng.random((40, 50)) * 0.1
    saliency[10:30, 15:40] += 0.2
    saliency[15:25, 20:31] = 1  # a part of the thing stands out
    truth = np.zeros((40, 50), bool)
    truth[10:30, 15:40] = True
    np.testing.assert_array_equal(graph_cut(pixels, saliency), truth)


def test_a_map_without_two_sides_gives_no_foreground():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    assert not graph_cut(pixels, np.zeros((8, 8))).any()


def test_a_picture_of_one_colour_is_no_reason_to_fail():
    saliency = np.zeros((8, 8))
    saliency[2:4, 2:4] = 1
    assert graph_cut(np.full((8, 8, 3), 128, np.uint8), saliency).shape == (8, 8)


def test_seeds_are_the_papers_quantiles_and_share_no_pixel():
    saliency = np.arange(100.0).reshape(10, 10)
    high, low = seeds(saliency, Colours())
    assert (high.sum(), low.sum()) == (5, 30)
    assert saliency[high].min() == 95
    assert saliency[low].max() == 29
    high, low = seeds(np.zeros((10, 10)), Colours())
    assert not (high & low).any()


def test_views_are_corners_and_middle():
    picture = Picture("p", Image.new("RGB", (320, 256)), torch.zeros(3, 224, 224), (48, 16, 272, 240))
    found = windows(picture, whole=False)
    assert found == [
        (0, 0, 224, 224), (96, 0, 320, 224), (0, 32, 224, 256), (96, 32, 320, 256), (48, 16, 272, 240),
    ]  # fmt: skip
    assert windows(picture, whole=True)[0] == (0, 0, 280, 224)


def test_views_of_a_long_picture_leave_no_gaps():
    picture = Picture("p", Image.new("RGB", (1000, 100)), torch.zeros(3, 100, 100), (450, 0, 550, 100))
    covered = np.zeros(1000, bool)
    for left, _, right, _ in windows(picture, whole=False):
        covered[left:right] = True
    assert covered.all()


@pytest.mark.parametrize("size", [(32, 32), (40, 32), (45, 90)])
def test_maps_of_views_lie_where_they_belong(size):
    """A map that is the picture's own brightness, cut up, mirrored and put together, is that brightness again."""
    ramp = np.linspace(0, 255, size[0])[None] * np.linspace(0.5, 1, size[1])[:, None]
    image = Image.fromarray(np.repeat(ramp[:, :, None], 3, 2).astype(np.uint8))
    model = colour_model(32, resize=32)
    values, count = averaged(model, prepare(image, model.preprocess), lambda inputs: inputs[:, 0], whole=False)
    expected = np.asarray(image.resize(values.shape[::-1], Image.Resampling.BILINEAR))[:, :, 0] / 255
    assert count in (2, 4, 6, 8, 10)
    assert np.abs(values - expected)[1:-1, 1:-1].max() < 0.03


def photograph():
    rng = np.random.default_rng(1)
    pixels = np.stack([rng.integers(0, 30, (64, 80)), rng.integers(60, 90, (64, 80)), rng.integers(0, 30, (64, 80))], 2)
    pixels[20:50, 30:60, 0] = rng.integers(200, 250, (30, 30))
    return Image.fromarray(pixels.astype(np.uint8))


def test_locate_by_graph_cut():
    found = pellucid.locate(colour_model(64, resize=64), photograph(), "grad-cam", "red", by="graph-cut")[0]
    np.testing.assert_allclose(found.box, (30, 20, 60, 50), atol=1)
    assert found.seen == (0, 0, 80, 64)
    assert "mean over 6 crops" in " ".join(found.notes)
    assert "95% and below the 30% quantile" in found.rule.text
    usual = pellucid.locate(colour_model(64, resize=64), photograph(), "grad-cam", "red", by="graph-cut", crops=False)
    assert usual[0].seen == (8, 0, 72, 64)
    np.testing.assert_allclose(usual[0].box, (30, 20, 60, 50), atol=1)


def test_crops_see_what_the_central_crop_does_not():
    picture = np.zeros((32, 96, 3), np.uint8)
    picture[8:20, 2:14, 0] = 255
    model = colour_model(32, resize=32)
    assert pellucid.locate(model, picture, "cam", "red")[0].box is None
    np.testing.assert_allclose(pellucid.locate(model, picture, "cam", "red", crops=True)[0].box, (2, 8, 14, 20), atol=1)


def test_misuse_of_rules_is_said():
    model = colour_model(64)
    with pytest.raises(UnknownName, match="graph-cut"):
        pellucid.locate(model, photograph(), "cam", by="graphcut")
    with pytest.raises(BadOption, match="no threshold"):
        pellucid.locate(model, photograph(), "cam", by="graph-cut", threshold=0.2)
    with pytest.raises(BadOption, match="not tensors"):
        pellucid.locate(model, torch.rand(1, 3, 64, 64), "cam", by="graph-cut")
    with pytest.raises(BadOption, match="needs a class"):
        pellucid.locate(model, photograph(), "grad-cam", "red vs green", crops=True)
