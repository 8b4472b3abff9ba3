"""HSIC, Novello et al., arXiv:2206.06219; unbiased estimator of Song et al. 2012, eq. 5."""

import numpy as np
import pytest
import torch
from nets import LinearScore, close, numbers, pooled_net, random_maps

import pellucid
from pellucid.capture.running import Draws
from pellucid.errors import BadOption, Cancelled
from pellucid.methods import hsic as source

IMAGE, CLASSES = random_maps(2, (2, 2, 7, 8)), [3, 0]


def run(net, target=CLASSES, image=IMAGE, chunk=None, seed=0, **options):
    options = {"cells": 2, **options}
    return pellucid.explain(net, image, "hsic", target, options={"hsic": options}, seed=seed, chunk=chunk)["hsic"]


def unbiased(k, kernel):
    """Equation 5, with the kernel matrices written out."""
    n = len(k)
    k, kernel = k - np.diag(np.diag(k)), kernel - np.diag(np.diag(kernel))
    ones = np.ones(n)
    first = np.trace(k @ kernel)
    second = (ones @ k @ ones) * (ones @ kernel @ ones) / ((n - 1) * (n - 2))
    third = 2 / (n - 2) * (ones @ k @ kernel @ ones)
    return (first + second - third) / (n * (n - 3))


def test_naive_loops():
    """One forward pass per mask, all kernel matrices, and the jackknife by really leaving each mask out."""
    net, cells, count = pooled_net(), 3, 14
    draws = numbers(Draws(1).uniform(torch.arange(count), torch.zeros(1, cells, cells, dtype=torch.float64)))
    seen = draws < 0.5
    got = run(net, seed=1, cells=cells, masks=count, fill="mean")
    for k, c in enumerate(CLASSES):
        scores = []
        for grid in seen:
            picture = IMAGE[k].clone()
            for i, j in np.ndindex(7, 8):
                if not grid[i * cells // 7, j * cells // 8]:
                    picture[:, i, j] = IMAGE[k].flatten(1).mean(1)
            with torch.no_grad():
                scores.append(float(net(picture[None])[0, c]))
        distance = np.abs(np.subtract.outer(scores, scores))
        width = np.sort(distance[np.triu_indices(count, 1)])[(count * (count - 1) // 2 - 1) // 2]
        kernel = np.exp(-((distance / width) ** 2) / 2)
        for i, j in np.ndindex(cells, cells):
            same = np.equal.outer(seen[:, i, j], seen[:, i, j]).astype(float)
            close(got.raw[k, i, j], unbiased(same, kernel))
            left = [
                unbiased(np.delete(np.delete(same, n, 0), n, 1), np.delete(np.delete(kernel, n, 0), n, 1))
                for n in range(count)
            ]
            error = np.sqrt((count - 1) / count * ((left - np.mean(left)) ** 2).sum())
            close(got.extras["standard error"][k, i, j], error)


def test_cells_without_influence_scatter_around_zero():
    """The paper's biased estimate would be above zero in all of them."""
    net, image = LinearScore((1, 4, 4)), torch.ones(1, 1, 4, 4, dtype=torch.float64)
    net.weight.data[0] = torch.eye(4)[:1].T @ torch.ones(1, 4, dtype=torch.float32)  # the uppermost row only
    found = [run(net, 0, image, cells=4, masks=200, seed=seed) for seed in range(8)]
    values = np.concatenate([numbers(f.raw[0, 1:]).ravel() for f in found])
    errors = np.concatenate([numbers(f.extras["standard error"][0, 1:]).ravel() for f in found])
    assert abs(values.mean()) < 3 * values.std() / len(values) ** 0.5
    assert 0.9 < (errors**2).mean() ** 0.5 / values.std() < 1.8
    assert (values < 0).any()
    for f in found:
        assert (f.raw[0, 0] > 2 * f.extras["standard error"][0, 0]).all()


def test_a_score_that_is_one_cell():
    """Score 0 or 1 as the cell is hidden or seen: HSIC = (1 - exp(-1 / 2 w^2)) / 4 with w the median distance."""
    net, image = LinearScore((1, 2, 2)), torch.ones(1, 1, 2, 2, dtype=torch.float64)
    net.weight.data[0] = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    got = run(net, 0, image, masks=2000)
    limits = [(1 - np.exp(-1 / 2)) / 4, 0.25]  # the median distance of two equal halves is 1, or 0 by a hair
    assert min(abs(float(got.raw[0, 0, 0]) - limit) for limit in limits) < 0.005


def test_a_constant_added_to_the_score_changes_nothing():
    net = pooled_net()
    one = run(net, masks=60)
    net.fc.bias.data += 1000
    close(run(net, masks=60).raw, numbers(one.raw), rtol=1e-6, atol=1e-9)


def test_a_constant_score_gives_zeros():
    class Constant(torch.nn.Module):
        def forward(self, x):
            return x.new_full((len(x), 1), 3.0)

    close(run(Constant(), 0, masks=20).raw, np.zeros((2, 2, 2)), atol=1e-15)


@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_change_nothing(chunk, monkeypatch):
    one = run(pooled_net(), masks=30)
    monkeypatch.setattr(source, "_ROWS", 7)
    other = run(pooled_net(), masks=30, chunk=chunk)
    close(other.raw, numbers(one.raw))
    close(other.extras["standard error"], numbers(one.extras["standard error"]))


def test_stopped_midway_it_is_the_estimate_from_fewer_masks():
    def progress(name, done, total):
        if name == "hsic" and done >= 2 * 110:
            raise KeyboardInterrupt

    options = {"hsic": {"cells": 2, "masks": 200}}
    with pytest.raises(Cancelled) as caught:
        pellucid.explain(pooled_net(), IMAGE, "hsic", CLASSES, options=options, chunk=10, progress=progress)
    got = caught.value.finished["hsic"]
    assert got.partial == (110, 200)
    close(got.raw, numbers(run(pooled_net(), masks=110).raw))


def test_holes_may_be_inpainted():
    assert run(pooled_net(), masks=20, fill="inpaint").raw.shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": 4}, "Expected masks >= 5 for hsic, got 4"),
        ({"cells": 0}, "cells for hsic, as many as there are pixels, got 0"),
        ({"fill": "gray"}, "Expected a number, mean, blur, noise, inpaint or a picture as fill of hsic"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(pooled_net(), **options)
