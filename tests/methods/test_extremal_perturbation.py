"""Extremal perturbation, Fong, Patrick & Vedaldi, arXiv:1910.08485."""

import numpy as np
import pytest
import torch
from nets import Rectified, close, half_pixel_resize, numbers, random_maps
from torch.nn import functional as F

import pellucid
from pellucid.errors import BadOption, Cancelled

IMAGE, CLASSES = random_maps(0, (2, 2, 5, 6)), [3, 1]
ID = "extremal-perturbation"


def run(net, target=CLASSES, image=IMAGE, chunk=None, **options):
    options = {"cells": 4, "steps": 6, **options}
    return pellucid.explain(net, image, ID, target, options={ID: options}, chunk=chunk)[ID]


def bumps(cells, size):
    """Every cell of the mask: the smooth maximum of the bumps of the 13 x 13 cells around it; then to pixels."""
    side = len(cells) - 12
    low = []
    for i, j in np.ndindex(side, side):
        found = []
        for down, right in np.ndindex(13, 13):
            distance = np.hypot(down - 6, right - 6) / 3
            found.append(cells[i + down, j + right] * np.exp(-2 * max(distance - 0.5, 0) ** 2))
        found = torch.stack(found)
        weights = torch.exp(20 * found)
        low.append((weights * found).sum() / weights.sum())
    eye = np.eye(side)[None]
    down, across = (torch.from_numpy(half_pixel_resize(eye, length, side)[0]) for length in size)
    return down @ torch.stack(low).reshape(side, side) @ across.T


def by_autograd(net, image, target, area, variant, steps, rate, fill):
    """The objective as the docstring has it, differentiated by autograd, followed by torch's own Adam."""
    cells = torch.full((16, 16), 0.5, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([cells], lr=rate, maximize=True)

    def score(mask):
        return net((mask * image + (1 - mask) * fill)[None])[0, target]

    with torch.no_grad():
        drop = abs(score(torch.ones(image.shape[1:])) - score(torch.zeros(image.shape[1:])))
    length = image[0].numel()
    wanted = torch.zeros(length, dtype=torch.float64)
    wanted[length - round(area * length) :] = 1
    for step in range(steps):
        mask = bumps(cells, image.shape[1:])
        shown, gone = score(mask), score(1 - mask)
        aim = {"preserve": shown, "delete": -gone, "both": shown - gone}[variant]
        gain = torch.autograd.grad(aim, mask, retain_graph=True)[0]
        order = (mask + 0.01 * gain / gain.abs().max()).flatten().argsort(stable=True)
        weight = 300 ** (step / (steps - 1))
        goal = aim / drop - weight * ((mask.flatten()[order] - wanted) ** 2).mean()
        result = mask.detach().clone(), float((gone if variant == "delete" else shown).detach())
        adam.zero_grad()
        goal.backward()
        adam.step()
        with torch.no_grad():
            cells.clamp_(0, 1)
    return result


@pytest.mark.parametrize("variant", ["preserve", "delete", "both"])
def test_objective_by_autograd(variant):
    net, options = Rectified(torch.tanh), {"variant": variant, "steps": 5, "rate": 0.07, "fill": 0.4}
    got = run(net, areas="0.2, 0.5", **options)
    for k, c in enumerate(CLASSES):
        found = [by_autograd(net, IMAGE[k], c, area, **options) for area in (0.2, 0.5)]
        masks = np.stack([numbers(mask) for mask, _ in found])
        close(got.extras["masks"][k], masks, rtol=1e-6, atol=1e-7)
        close(got.extras["scores"][k], [score for _, score in found], rtol=1e-6)
        close(got.extras["areas"][k], masks.mean((1, 2)), rtol=1e-6)
        close(got.values[k], masks.mean(0), rtol=1e-6, atol=1e-7)


class Square(torch.nn.Module):
    """The mean brightness of rows 8 to 17 and columns 12 to 21 of 32."""

    def forward(self, x):
        return x[:, :, 8:18, 12:22].mean((1, 2, 3))[:, None]


SQUARE = torch.zeros(32, 32, dtype=torch.bool)
SQUARE[8:18, 12:22] = True


@pytest.mark.long
@pytest.mark.parametrize("variant", ["preserve", "delete", "both"])
def test_areas_are_met_and_cover_what_the_score_needs(variant):
    """The square is 0.098 of the picture: the smallest mask lies within it, the largest holds all of it."""
    image = torch.ones(1, 1, 32, 32, dtype=torch.float64)
    areas = (0.06, 0.1, 0.25)
    options = {"areas": ",".join(map(str, areas)), "variant": variant, "steps": 120, "fill": 0.0}
    got = run(Square(), 0, image, cells=32, **options)
    small, equal, large = got.extras["masks"][0]
    close(got.extras["areas"][0], areas, rtol=0, atol=0.02)
    assert float(small[SQUARE].sum() / small.sum()) > 0.85
    assert float(equal[SQUARE].mean()) > 0.8
    assert float(equal[~SQUARE].mean()) < 0.04
    assert float(large[SQUARE].mean()) > 0.9
    kept = got.extras["scores"][0] / got.extras["score"]
    assert (kept < 0.55 if variant == "delete" else kept > 0.4).all()
    assert bool((got.values[0] * ~SQUARE).max() <= got.values[0].max())
    assert bool(SQUARE.flatten()[got.values[0].argmax()])


def test_chunks_change_nothing():
    net = Rectified(F.relu)
    close(run(net, chunk=1).values, numbers(run(net).values))
    close(run(net, chunk=4).values, numbers(run(net).values))


def test_an_area_does_not_depend_on_the_others():
    net = Rectified(F.relu)
    one, two = run(net, areas="0.3"), run(net, areas="0.1,0.3")
    close(two.extras["masks"][:, 1], numbers(one.extras["masks"][:, 0]))


def test_stopped_midway_it_is_the_masks_so_far():
    def progress(name, done, total):
        if name == ID and done == 55:
            raise KeyboardInterrupt

    options = {ID: {"cells": 4, "steps": 60}}
    with pytest.raises(Cancelled) as caught:
        pellucid.explain(Rectified(F.relu), IMAGE, ID, CLASSES, options=options, progress=progress)
    got = caught.value.finished[ID]
    assert got.partial == (55, 60)
    assert bool(got.values.isfinite().all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"areas": "0.1,x"},
            "Expected shares of the picture, above 0 and below 1, .*extremal-perturbation, got '0.1,x'",
        ),
        ({"areas": "0,0.1"}, "got '0,0.1'"),
        ({"areas": ""}, "got ''"),
        ({"variant": "keep"}, "Expected preserve, delete, both as variant of extremal-perturbation, got 'keep'"),
        ({"steps": 0}, "Expected steps >= 1, cells >= 1 and rate > 0 for extremal-perturbation, got 0, 4 and 0.05"),
        ({"cells": 0}, "got 6, 0 and 0.05"),
        ({"fill": "inpaint"}, "extremal-perturbation hides by degrees"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(Rectified(F.relu), **options)
