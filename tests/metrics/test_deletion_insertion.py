"""Deletion and insertion: a naive twin, answers by hand, laws."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

import pellucid
import tiny
from pellucid.errors import BadOption

SIDE = 8


class Halves(nn.Module):
    """Two scores: the sum of the left half and of the right half."""

    def forward(self, x):
        return torch.stack([x[..., : SIDE // 2].sum((1, 2, 3)), x[..., SIDE // 2 :].sum((1, 2, 3))], 1)


def column():
    """A picture of zeros with eight ones in its first column, which are all of the evidence."""
    image = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.float64)
    image[..., 0] = 1.0
    return image


def judge(net, image, metric, maps, **options):
    explained = pellucid.explain(net, image, "saliency")
    return pellucid.evaluate(explained, metric, {metric: options}, maps=maps, chunk=None)


def twin(net, image, values, classes, steps, start, end):
    """One picture, one step and one pixel after the other."""
    net.requires_grad_(False)
    areas, curves = [], []
    for k in range(len(image)):
        flat = values[k].flatten().tolist()
        order = sorted(range(len(flat)), key=lambda i: (-flat[i], i))
        curve = []
        for step in range(steps + 1):
            seen = start[k].clone()
            for i in order[: round(step * len(flat) / steps)]:
                row, col = divmod(i, image.shape[3])
                seen[:, row, col] = end[k, :, row, col]
            curve.append(float(net(seen[None]).softmax(1)[0, classes[k]]))
        curves.append(curve)
        areas.append(sum((a + b) / 2 for a, b in pairwise(curve)) / steps)
    return areas, curves


@pytest.mark.parametrize("steps", [1, 4, 16])  # all divide the number of pixels
def test_twins(steps):
    net, image = tiny.build(tiny.Plain), tiny.images(3)
    classes = net(image).argmax(1).tolist()
    values = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64).round(decimals=1)
    kernel = {"sigma": 5, "truncate": 1.0, "mode": "constant", "axes": (2, 3)}
    blurred = gaussian_filter(image.numpy(), **kernel) / gaussian_filter(np.ones_like(image.numpy()), **kernel)
    ends = {"deletion": (image, torch.zeros_like(image)), "insertion": (torch.from_numpy(blurred), image)}
    for metric, (start, end) in ends.items():
        found = judge(net, image, metric, {"mine": values}, steps=steps)["mine", metric]
        areas, curves = twin(net, image, values, classes, steps, start, end)
        assert found.values.tolist() == pytest.approx(areas)
        torch.testing.assert_close(found.extras["curve"], torch.tensor(curves, dtype=torch.float64))
        assert found.axis == pytest.approx([k / steps for k in range(steps + 1)])


def test_by_hand():
    image, right = column(), column()[:, 0]
    maps = {"perfect": right, "inverted": -right, "constant": torch.zeros_like(right)}
    sure = torch.tensor([8.0, 0.0]).softmax(0)[0].item()
    found = judge(Halves(), image, "deletion", maps, steps=8)
    curve = {name: found[name, "deletion"].extras["curve"][0].tolist() for name in maps}
    assert curve["perfect"] == pytest.approx([sure] + [0.5] * 8)
    assert curve["inverted"] == pytest.approx([sure] * 8 + [0.5])
    rows = [torch.tensor([8.0 - k, 0]).softmax(0)[0].item() for k in range(9)]  # ties go row by row
    assert curve["constant"] == pytest.approx(rows)
    assert found["perfect", "deletion"].values.tolist() == pytest.approx([(sure + 0.5 + 14 * 0.5) / 16])
    found = judge(Halves(), image, "insertion", maps, steps=8, baseline=0.0)
    assert found["perfect", "insertion"].extras["curve"][0].tolist() == pytest.approx([0.5] + [sure] * 8)
    assert found["inverted", "insertion"].extras["curve"][0].tolist() == pytest.approx([0.5] * 8 + [sure])
    assert found.ranked("insertion")[0].subject == "perfect"
    assert found["perfect", "insertion"].better_than(found["inverted", "insertion"])


@pytest.mark.parametrize("metric", ["deletion", "insertion"])
def test_only_the_order_counts(metric):
    net, image = tiny.build(tiny.Plain), tiny.images()
    values = tiny.images(2, seed=9)[:, 0]
    maps = {"as it is": values, "scaled": 1e3 * values + 7, "bent": values**3}
    found = judge(net, image, metric, maps, steps=5)
    for name in maps:
        assert torch.equal(found[name, metric].values, found["as it is", metric].values)


def test_hiding_and_showing_are_one_curve_backwards():
    net, image = tiny.build(tiny.Plain), tiny.images()
    values = tiny.images(2, seed=9)[:, 0]
    hidden = judge(net, image, "deletion", {"mine": values}, steps=8)["mine", "deletion"].extras["curve"]
    shown = judge(net, image, "insertion", {"mine": -values}, steps=8, baseline=0.0)["mine", "insertion"]
    torch.testing.assert_close(shown.extras["curve"], hidden.flip(1))


def test_what_hides():
    net, image = tiny.build(tiny.Plain), tiny.images()
    values = tiny.images(2, seed=9)[:, 0]
    ends = {}
    for baseline in (0.0, 1.5, "mean", "blur", "noise", "inpaint"):
        found = judge(net, image, "deletion", {"mine": values}, steps=3, baseline=baseline)["mine", "deletion"]
        ends[baseline] = found.extras["curve"][:, 2].tolist()
        assert found.options["baseline"] == baseline
    assert len({tuple(end) for end in ends.values()}) == 6
    with pytest.raises(BadOption, match="of deletion"):
        judge(net, image, "deletion", {}, baseline="nothing")


@pytest.mark.parametrize("metric", ["deletion", "insertion"])
@pytest.mark.parametrize("steps", [0, 257])
def test_steps_that_cannot_be(metric, steps):
    with pytest.raises(BadOption, match=f"from 1 to 256.*{metric}, got {steps}"):
        judge(tiny.build(tiny.Plain), tiny.images(), metric, {}, steps=steps)
