"""Meaningful perturbation, Fong & Vedaldi, arXiv:1704.03296."""

import numpy as np
import pytest
import torch
from nets import Rectified, close, numbers, random_maps
from torch.nn import functional as F

import pellucid
from pellucid.capture.running import Draws
from pellucid.errors import BadOption, Cancelled
from pellucid.methods import meaningful_perturbation as source

IMAGE, CLASSES = random_maps(0, (2, 2, 5, 6)), [3, 1]
ID = "meaningful-perturbation"


def run(net, target=CLASSES, image=IMAGE, seed=0, chunk=None, **options):
    options = {"cells": 3, "steps": 6, **options}
    return pellucid.explain(net, image, ID, target, options={ID: options}, seed=seed, chunk=chunk)[ID]


def drawn_out(mask, size):
    """Every pixel: the mean of the cells, weighed by a Gaussian of the distance."""
    down, across = (
        np.array([[np.exp(-(((p + 0.5) * c / n - v - 0.5) ** 2) / (2 * 0.625**2)) for v in range(c)] for p in range(n)])
        for n, c in zip(size, mask.shape, strict=True)
    )
    down, across = (torch.from_numpy(w / w.sum(1, keepdims=True)) for w in (down, across))
    return down @ mask @ across.T


def by_autograd(net, image, target, steps, area, smooth, rate, fill, seed, jitter):
    """The objective as the docstring has it, differentiated by autograd, followed by torch's own Adam."""
    mask = torch.ones(3, 3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([mask], lr=rate)
    with torch.no_grad():
        whole, hidden = (float(net(x[None])[0, target]) for x in (image, image * 0 + fill))
    for step in range(steps):
        drawn = numbers(Draws(seed).uniform(torch.tensor([step + 1]), torch.zeros(1, 2, dtype=torch.float64)))[0]
        places = [1 + int(np.ceil(n * jitter)) for n in image.shape[1:]]
        down, right = (int(u * n) - n // 2 for u, n in zip(drawn, places, strict=True))
        moved = torch.empty_like(image)
        for i, j in np.ndindex(*image.shape[1:]):
            at = min(max(i - down, 0), image.shape[1] - 1), min(max(j - right, 0), image.shape[2] - 1)
            moved[:, i, j] = image[:, at[0], at[1]]
        seen = drawn_out(mask, image.shape[1:])
        score = net((seen * moved + (1 - seen) * fill)[None])[0, target]
        floor = whole - abs(whole - hidden)
        roughness = (mask[1:] - mask[:-1]).abs().pow(3).sum() + (mask[:, 1:] - mask[:, :-1]).abs().pow(3).sum()
        loss = area * (1 - mask).sum() + smooth * roughness + (score - floor).clamp(min=0) / abs(whole - hidden)
        result = mask.detach().clone(), seen.detach(), float(score.detach()), whole, hidden
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            mask.clamp_(0, 1)
    return result


def test_objective_by_autograd(monkeypatch):
    monkeypatch.setattr(source, "_JITTER", 0.5)  # so that small pictures move too
    net, options = Rectified(torch.tanh), {"steps": 8, "area": 0.05, "smooth": 0.3, "rate": 0.2, "fill": 0.4}
    got = run(net, seed=3, **options)
    for k, c in enumerate(CLASSES):
        mask, seen, masked, whole, hidden = by_autograd(net, IMAGE[k], c, seed=3, jitter=0.5, **options)
        close(got.raw[k], 1 - numbers(mask), rtol=1e-6, atol=1e-7)
        close(got.values[k], 1 - numbers(seen), rtol=1e-6, atol=1e-7)
        for name, value in {"score": whole, "score hidden": hidden, "score masked": masked}.items():
            close(got.extras[name][k], value, rtol=1e-6)


class Square(torch.nn.Module):
    """The mean brightness of rows 4 to 7 and columns 5 to 9, and that of all the rest."""

    def forward(self, x):
        inside = x[:, :, 4:8, 5:10].sum((1, 2, 3))
        return torch.stack([inside / 20, (x.sum((1, 2, 3)) - inside) / 124], 1)


def test_the_mask_covers_what_the_score_needs():
    # all of the square for 0.2, and edges a cell wide for little
    weights = {"area": 0.01, "smooth": 0.01}
    got = run(Square(), 0, torch.ones(1, 1, 12, 12, dtype=torch.float64), cells=12, steps=80, fill=0.0, **weights)
    inside = torch.zeros(12, 12, dtype=torch.bool)
    inside[4:8, 5:10] = True
    close(got.values[0, 5:7, 6:9], np.ones((2, 3)), rtol=0, atol=0.1)
    assert float(got.values[0][inside].mean()) > 0.85
    assert float(got.values[0, :2].max()) < 0.05
    assert float(got.values[0, :, :3].max()) < 0.05
    assert float(got.extras["score masked"]) < 0.15 * float(got.extras["score"])


def test_a_larger_weight_hides_less():
    image = torch.ones(1, 1, 12, 12, dtype=torch.float64)
    small, large = (run(Square(), 0, image, cells=12, steps=40, fill=0.0, area=w).raw.sum() for w in (1e-4, 0.02))
    assert float(large) < 0.7 * float(small)


def test_nothing_to_hide():
    """A score that only grows when the picture is hidden: the mask stays away, and says so."""
    got = run(Square(), 0, -torch.ones(1, 1, 12, 12, dtype=torch.float64), steps=8, fill=0.0)
    assert bool((got.values == 0).all())
    assert got.notes[0] == (
        "With 0.0 % of the picture hidden the score is -1; with all of it seen -1, with none 0. This fill hides "
        "nothing that speaks for the target."
    )
    assert "zero everywhere" in got.notes[1]


def test_chunks_change_nothing():
    net = Rectified(F.relu)
    close(run(net, chunk=1).raw, numbers(run(net).raw))


def test_stopped_midway_it_is_the_mask_so_far():
    seen = []

    def progress(name, done, total):
        seen.append((name, done, total))
        if name == ID and done == 24:
            raise KeyboardInterrupt

    with pytest.raises(Cancelled) as caught:
        pellucid.explain(
            Rectified(F.relu), IMAGE, ID, CLASSES, options={ID: {"cells": 3, "steps": 40}}, progress=progress
        )
    got = caught.value.finished[ID]
    assert got.partial == (24, 40)
    close(got.raw, numbers(run(Rectified(F.relu), steps=24).raw))
    steps = [done for name, done, total in seen if total == 40]
    assert steps == list(range(1, 25))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "Expected steps >= 1, cells >= 2, area >= 0, smooth >= 0 and rate > 0 for meaningful-pert"),
        ({"cells": 1}, "got 6, 1, 0.0001, 0.01 and 0.1"),
        ({"area": -1.0}, "got 6, 3, -1.0, 0.01 and 0.1"),
        ({"rate": 0.0}, "got 6, 3, 0.0001, 0.01 and 0.0"),
        ({"fill": "inpaint"}, "meaningful-perturbation hides by degrees"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(Rectified(F.relu), **options)
