"""Sanity checks: twins of the four measures, networks that really have other weights, and who must pass and fail."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from skimage.feature import hog
from skimage.metrics import structural_similarity

import pellucid
import tiny
from pellucid.capture.running import Draws, drawn_weights, guarded, weighted_layers
from pellucid.errors import BadOption, Refused
from pellucid.metrics._likeness import MEASURES, likeness
from pellucid.metrics.efficient_randomisation import histogram_entropy
from pellucid.metrics.randomisation import grouped

IMAGE = tiny.images(3)
CLASSES = [4, 0, 2]


def random_maps(seed, size=(16, 16)):
    return torch.randn(3, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_measures_are_their_twins():
    first, second = random_maps(1, (32, 32)), random_maps(2, (32, 32))
    for k in range(3):
        a, b = first[k].numpy(), second[k].numpy()
        size = [abs(m) / abs(m).max() for m in (a, b)]
        cells = [hog(m, pixels_per_cell=(8, 8), cells_per_block=(3, 3)) for m in size]
        expected = {
            "rank": spearmanr(abs(a).ravel(), abs(b).ravel()).statistic,
            "signed-rank": spearmanr(a.ravel(), b.ravel()).statistic,
            "ssim": structural_similarity(*size, win_size=5, data_range=1.0),
            "hog": pearsonr(*cells).statistic,
        }
        for name in MEASURES:
            assert float(likeness(name, first, second)[k]) == pytest.approx(expected[name]), name


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_by_hand(measure):
    values = random_maps(1)
    empty = torch.zeros_like(values)
    torch.testing.assert_close(likeness(measure, values, values), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(likeness(measure, values, 1e-9 * values), torch.ones(3, dtype=torch.float64))
    opposite = likeness(measure, values, -values)
    assert opposite.tolist() == pytest.approx([-1.0 if measure == "signed-rank" else 1.0] * 3)
    assert likeness(measure, values, empty).tolist() == [0, 0, 0], "an empty map is like none"
    assert likeness(measure, empty, values).isnan().all()


def test_groups():
    assert grouped(("a", "b", "c", "d", "e"), 3) == [("a",), ("b", "c"), ("d", "e")]
    assert grouped(("a", "b"), 9) == [("a",), ("b",)]
    assert grouped(("a", "b", "c"), 1) == [("a",)]


def network_with(net, layers, seed=0):
    """A copy that really has the drawn weights of these layers."""
    with guarded(net):
        every = weighted_layers(pellucid.wrap(net), IMAGE)
    drawn = drawn_weights(pellucid.wrap(net), {path: every[path] for path in layers}, Draws(seed))
    other = copy.deepcopy(net)
    with torch.no_grad():
        for name, tensor in drawn.items():
            other.get_parameter(name).copy_(tensor)
    return other


@pytest.mark.parametrize(("order", "measure"), [("cascading", "rank"), ("independent", "hog")])
def test_randomisation_is_its_twin(order, measure):
    net = tiny.build(tiny.Pooled)
    methods, options = ["grad-cam", "saliency", "smoothgrad"], {"smoothgrad": {"samples": 2}}
    explained = pellucid.explain(net, IMAGE, methods, target=CLASSES, layer="features.2", options=options)
    given = {"order": order, "measure": measure, "stages": 3}
    found = pellucid.evaluate(explained, "randomisation", {"randomisation": given})
    stages = {"cascading": [["fc"], ["fc", "features.4"], ["fc", "features.4", "features.1", "features.0"]],
              "independent": [["fc"], ["features.4"], ["features.1", "features.0"]]}[order]  # fmt: skip
    curves = {method: [] for method in methods}
    for layers in stages:
        other = network_with(net, layers)
        maps = pellucid.explain(other, IMAGE, methods, target=CLASSES, layer="features.2", options=options)
        for method in methods:
            curves[method].append(likeness(measure, explained[method].values, maps[method].values))
    for method in methods:
        expected = torch.stack(curves[method], 1)
        score = found[method, "randomisation"]
        torch.testing.assert_close(score.extras["curve"], expected)
        torch.testing.assert_close(score.values, expected.mean(1))
        assert score.axis == (0.25, 0.5, 1.0)
        assert set(MEASURES) <= score.extras.keys()
        assert "features.0" in score.notes[0]


def test_maps_that_do_not_know_the_network_stay_what_they_are():
    score = pellucid.explain(tiny.build(tiny.Pooled), IMAGE, "saliency")["saliency"].score("randomisation", stages=2)
    for control in score.controls.values():
        assert control.values.tolist() == pytest.approx([1, 1, 1])
    assert score.better_than(score.controls["edges"])


def test_efficient_randomisation_is_its_twin():
    net = tiny.build(tiny.Pooled)
    explained = pellucid.explain(net, IMAGE, "saliency", target=CLASSES)
    score = explained["saliency"].score("efficient-randomisation", bins=10)
    other = network_with(net, ["fc", "features.4", "features.1", "features.0"])
    after = pellucid.explain(other, IMAGE, "saliency", target=CLASSES)["saliency"].values
    expected = []
    for a, b in zip(explained["saliency"].values.numpy(), after.numpy(), strict=True):
        shares = [np.histogram(m, bins=10)[0] / m.size for m in (a, b)]
        before, later = (-sum(p * math.log(p) for p in share if p) for share in shares)
        expected.append((later - before) / before)
    assert score.values.tolist() == pytest.approx(expected)


def test_entropy_of_a_histogram_by_hand():
    maps = torch.tensor([[[0.0, 0.0, 1.0, 1.0]], [[2.0, 2.0, 2.0, 2.0]], [[0.0, 1.0, 2.0, 3.0]]])
    assert histogram_entropy(maps, 4).tolist() == pytest.approx([math.log(2), 0, math.log(4)])


def test_random_target_is_its_twin():
    net = tiny.build(tiny.Pooled)
    explained = pellucid.explain(net, IMAGE, ["saliency", "grad-cam"], target=CLASSES, layer="features.2")
    score = explained["grad-cam"].score("random-target")
    far = 1 + int(Draws(0).uniform(torch.tensor([0]), torch.empty(1, 1))[0, 0] * 4)
    others = [(c + far) % 5 for c in CLASSES]
    assert not set(zip(others, CLASSES, strict=True)) & {(c, c) for c in range(5)}
    maps = pellucid.explain(net, IMAGE, "grad-cam", target=others, layer="features.2")["grad-cam"].values
    torch.testing.assert_close(score.values, likeness("ssim", explained["grad-cam"].values, maps))
    assert score.controls["random"].values.tolist() == pytest.approx([1, 1, 1])


def test_random_target_needs_another_class():
    net = tiny.build(tiny.Pooled)
    for target in ("margin", "single"):
        if target == "margin":
            explained = pellucid.explain(net, IMAGE, "saliency", target=lambda output: output[:, 0])
        else:
            explained = pellucid.explain(torch.nn.Sequential(net, torch.nn.Linear(5, 1).double()), IMAGE, "saliency")
        with pytest.raises(Refused, match="class"):
            explained["saliency"].score("random-target")


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        ("randomisation", {"order": "upwards"}),
        ("randomisation", {"measure": "cosine"}),
        ("randomisation", {"stages": 0}),
        ("efficient-randomisation", {"bins": 1}),
        ("random-target", {"measure": "cosine"}),
    ],
)
def test_refused(metric, options):
    explained = pellucid.explain(tiny.build(tiny.Pooled), IMAGE, "saliency")
    with pytest.raises(BadOption, match=metric):
        explained["saliency"].score(metric, **options)


def test_data_randomisation_is_its_twin(tmp_path):
    net, other = tiny.build(tiny.Pooled), network_with(tiny.build(tiny.Pooled), ["features.0", "fc"], seed=5)
    with torch.no_grad():
        other.features[1].running_mean.add_(0.5)  # what is not a weight counts too
    path = tmp_path / "other.pth"
    torch.save(other.state_dict(), path)
    both, options = ["saliency", "smoothgrad"], {"smoothgrad": {"samples": 2}}
    explained, maps = (pellucid.explain(n, IMAGE, both, target=CLASSES, options=options) for n in (net, other))
    for name in both:
        score = explained[name].score("data-randomisation", weights=str(path))
        torch.testing.assert_close(score.values, likeness("rank", explained[name].values, maps[name].values))
        assert set(score.extras) == set(MEASURES)
        assert score.controls["edges"].values.tolist() == pytest.approx([1, 1, 1])


def test_data_randomisation_wants_weights_that_fit(tmp_path):
    explained = pellucid.explain(tiny.build(tiny.Pooled), IMAGE, "saliency")["saliency"]
    with pytest.raises(BadOption, match="--random-labels"):
        explained.score("data-randomisation")
    with pytest.raises(BadOption, match="data-randomisation: There is no weights file"):
        explained.score("data-randomisation", weights=str(tmp_path / "none.pth"))
    torch.save(tiny.build(tiny.Skip).state_dict(), tmp_path / "skip.pth")
    with pytest.raises(Refused, match=r"skip\.pth are not those of Pooled"):
        explained.score("data-randomisation", weights=str(tmp_path / "skip.pth"))
