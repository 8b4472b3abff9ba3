"""Faithfulness metrics that hide or show pixels in the map's order, or by its degree: twins, answers by hand, laws."""

from itertools import pairwise

import pytest
import torch
from judged import build, judge, maps, order, replaced
from torch import nn

import tiny
from pellucid.errors import BadOption

IMAGE = tiny.images(3)
ZERO = torch.zeros_like(IMAGE)


def probability(net, picture, k):
    return float(net(picture[None]).softmax(1)[0, k])


def score(net, picture, k):
    return float(net(picture[None])[0, k])


def classes(net):
    return net(IMAGE).argmax(1).tolist()


def test_average_drop_and_increase_are_their_twins():
    net, given = build(), maps()
    drops, rises = [], []
    for k, c in enumerate(classes(net)):
        shown = given[k].clamp(min=0) / given[k].max()
        y, o = probability(net, IMAGE[k], c), probability(net, IMAGE[k] * shown, c)
        drops.append(max(0, y - o) / y)
        rises.append(float(o > y))
    assert judge(net, IMAGE, "average-drop", {"mine": given})["mine"].values.tolist() == pytest.approx(drops)
    assert judge(net, IMAGE, "increase", {"mine": given})["mine"].values.tolist() == rises


class Sure(nn.Module):
    """Its probability of class 0 is the mean of the first row, of class 1 the rest."""

    def forward(self, x):
        share = x[:, 0, 0].mean(1)
        return torch.stack([share, 1 - share], 1)


def test_average_drop_and_increase_by_hand():
    image = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    image[0, 0, 0] = torch.tensor([1.0, 1.0, 1.0, 0.0])  # p = 0.75
    perfect, half, none = image[:, 0], image[:, 0].clone(), torch.zeros(1, 4, 4, dtype=torch.float64)
    half[0, 0, 1:] = 0
    cases = {"perfect": perfect, "half": half, "inverted": 1 - perfect, "none": none, "constant": none + 2}
    found = judge(Sure(), image, "average-drop", cases, target=0)
    lost = {name: float(s.values) for name, s in found.items()}
    assert lost == pytest.approx({"perfect": 0, "half": 2 / 3, "inverted": 1, "none": 1, "constant": 0})
    assert float(found["half"].extras["whole"]) == pytest.approx(0.75)
    assert float(found["half"].extras["behind"]) == pytest.approx(0.25)
    rises = judge(Sure(), image, "increase", cases, target=1)  # class 1 wins where the row is hidden
    assert {n: float(s.values) for n, s in rises.items()} == {
        "perfect": 0, "half": 1, "inverted": 1, "none": 1, "constant": 0,
    }  # fmt: skip


def test_without_an_answer_there_is_no_drop():
    image = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    found = judge(Sure(), image, "average-drop", {"mine": torch.ones(1, 4, 4)}, target=0)["mine"]
    assert found.judged == 0
    assert any("No answer for 1 of 1" in note for note in found.notes)


@pytest.mark.parametrize("metric", ["average-drop", "increase"])
def test_the_unit_of_the_map_does_not_count(metric):
    net, given = build(), maps()
    found = judge(net, IMAGE, metric, {"one": given, "other": 1e4 * given})
    torch.testing.assert_close(found["one"].values, found["other"].values)
    with pytest.raises(BadOption, match="inpaint"):
        judge(net, IMAGE, metric, {"one": given}, baseline="inpaint")


@pytest.mark.parametrize(("steps", "share"), [(4, 0.5), (8, 1.0), (1, 0.25)])
def test_pixel_flipping_is_its_twin(steps, share):
    net, given = build(), maps()
    expected, curves = [], []
    for k, c in enumerate(classes(net)):
        pixels = order(given[k])
        budget = round(share * len(pixels))
        curve = [score(net, replaced(IMAGE[k], ZERO[k], pixels[: j * budget // steps]), c) for j in range(steps + 1)]
        expected.append(sum(curve[0] - s for s in curve) / (steps + 1))
        curves.append(curve)
    found = judge(net, IMAGE, "pixel-flipping", {"mine": given}, steps=steps, share=share, baseline=0.0)["mine"]
    assert found.values.tolist() == pytest.approx(expected)
    torch.testing.assert_close(found.extras["curve"], torch.tensor(curves, dtype=torch.float64))
    assert found.axis == pytest.approx([share * j / steps for j in range(steps + 1)])


@pytest.mark.parametrize("options", [{"share": 0.0}, {"share": 1.1}, {"steps": 0}, {"steps": 50, "share": 0.1}])
def test_pixel_flipping_refuses(options):
    with pytest.raises(BadOption, match="pixel-flipping"):
        judge(build(), IMAGE, "pixel-flipping", {}, **options)


def test_monotonicity_is_its_twin():
    net, given, steps = build(), maps(), 8
    expected = []
    for k, c in enumerate(classes(net)):
        rising = sorted(range(256), key=lambda i: (float(given[k].flatten()[i]), i))
        pixels = [divmod(i, 16) for i in rising]
        curve = [probability(net, replaced(ZERO[k], IMAGE[k], pixels[: 32 * j]), c) for j in range(steps + 1)]
        expected.append(sum(b >= a for a, b in pairwise(curve)) / steps)
    found = judge(net, IMAGE, "monotonicity", {"mine": given}, steps=steps)["mine"]
    assert found.values.tolist() == pytest.approx(expected)
    assert found.extras["monotone"].tolist() == [float(e == 1) for e in expected]


def test_monotonicity_by_hand():
    image = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    image[0, 0, 0, 0] = 1.0
    found = judge(Sure(), image, "monotonicity", {"perfect": image[:, 0], "inverted": -image[:, 0]}, target=0, steps=16)
    assert {name: float(s.values) for name, s in found.items()} == {"perfect": 1, "inverted": 1}
    found = judge(Sure(), image, "monotonicity", {"any": image[:, 0]}, target=1, steps=16)
    assert float(found["any"].values) == 15 / 16  # the last pixel takes the probability of class 1


def test_sufficiency_is_its_twin():
    net, given = build(), maps()
    expected = []
    for k, c in enumerate(classes(net)):
        pixels, whole = order(given[k]), probability(net, IMAGE[k], c)
        counts = [round(256 * share) for share in (0.01, 0.05, 0.1, 0.2, 0.5)]
        seen = [probability(net, replaced(ZERO[k], IMAGE[k], pixels[:count]), c) for count in counts]
        expected.append(sum(whole - s for s in seen) / 5)
    found = judge(net, IMAGE, "sufficiency", {"mine": given})["mine"]
    assert found.values.tolist() == pytest.approx(expected)
    assert found.axis == (0.01, 0.05, 0.1, 0.2, 0.5)
    with pytest.raises(BadOption, match="at least 100"):
        judge(tiny.build(tiny.Plain), tiny.images(size=(9, 9)), "sufficiency", {})


def test_effective_complexity_is_its_twin():
    net, given, steps = build(), maps(), 16
    expected = []
    for k, c in enumerate(classes(net)):
        pixels, whole = order(given[k].abs()), probability(net, IMAGE[k], c)
        seen = [probability(net, replaced(ZERO[k], IMAGE[k], pixels[: 16 * j]), c) for j in range(steps + 1)]
        expected.append(next(j for j, s in enumerate(seen) if s >= 0.9 * whole) / steps)
    found = judge(net, IMAGE, "effective-complexity", {"mine": given, "minus": -given}, steps=steps)
    assert found["mine"].values.tolist() == pytest.approx(expected)
    assert found["minus"].values.tolist() == pytest.approx(expected)
    with pytest.raises(BadOption, match="loss < 1"):
        judge(net, IMAGE, "effective-complexity", {}, loss=1.0)


def test_effective_complexity_by_hand():
    image = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    image[0, 0, 0] = torch.tensor([1.0, 1.0, 1.0, 0.0])
    cases = {"perfect": image[:, 0], "inverted": 1 - image[:, 0]}
    found = judge(Sure(), image, "effective-complexity", cases, target=0, steps=16)
    assert {n: float(s.values) for n, s in found.items()} == pytest.approx({"perfect": 3 / 16, "inverted": 1})


def test_effective_complexity_by_a_threshold():
    """Of -4, 3, 2, 1 and twelve zeros, four are above nothing, and -4 and 3 above half of 4."""
    drawn = torch.zeros(1, 4, 4, dtype=torch.float64)
    drawn[0, 1] = torch.tensor([-4.0, 3.0, 2.0, 1.0])
    for above, expected in ((0.0, 4 / 16), (0.5, 2 / 16)):
        given = {"mine": drawn, "scaled": 1e-9 * drawn, "nothing": 0 * drawn}
        found = judge(Sure(), torch.ones(1, 1, 4, 4), "effective-complexity", given, target=0, above=above)
        assert [float(found[name].values) for name in given] == [expected, expected, 0]
        assert not found["mine"].cost.forward
    with pytest.raises(BadOption, match="above < 1"):
        judge(Sure(), torch.ones(1, 1, 4, 4), "effective-complexity", {"mine": drawn}, target=0, above=1.0)


def test_irof_is_its_twin():
    net, given = build(), maps()
    expected = []
    for k, c in enumerate(classes(net)):
        mean = IMAGE[k].mean((1, 2), keepdim=True).expand_as(IMAGE[k])
        cells = [[(4 * a + i, 4 * b + j) for i in range(4) for j in range(4)] for a in range(4) for b in range(4)]
        means = [sum(float(given[k][p]) for p in cell) / 16 for cell in cells]
        ranked = sorted(range(16), key=lambda n: (-means[n], n))
        whole, curve = probability(net, IMAGE[k], c), []
        for count in range(0, 17, 4):
            gone = [p for n in ranked[:count] for p in cells[n]]
            curve.append(probability(net, replaced(IMAGE[k], mean, gone), c) / whole)
        expected.append(1 - sum((a + b) / 8 for a, b in pairwise(curve)))
    found = judge(net, IMAGE, "irof", {"mine": given}, regions="4x4", steps=4)["mine"]
    assert found.values.tolist() == pytest.approx(expected)


def test_irof_cuts_superpixels_and_refuses():
    net = build()
    found = judge(net, IMAGE, "irof", {"mine": maps()}, regions=6, steps=6)["mine"]
    assert found.extras["curve"].shape == (3, 7)
    assert found.extras["curve"][:, 0].tolist() == [1.0] * 3
    for options in ({"regions": 1}, {"regions": "4x4", "steps": 17}, {"steps": 0}, {"regions": "none"}):
        with pytest.raises(BadOption, match="irof"):
            judge(net, IMAGE, "irof", {}, **options)


def test_irof_by_hand():
    image = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    image[0, 0, 0] = 1.0  # all evidence lies in the first of four rows
    cases = {"perfect": image[:, 0], "inverted": -image[:, 0]}
    found = judge(Sure(), image, "irof", cases, target=0, regions="4x1", steps=4, baseline=0.0)
    assert found["perfect"].extras["curve"][0].tolist() == [1, 0, 0, 0, 0]
    assert float(found["perfect"].values) == pytest.approx(1 - 1 / 8)
    assert float(found["inverted"].values) == pytest.approx(1 / 8)
