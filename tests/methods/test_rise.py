"""RISE, Petsiuk et al., arXiv:1806.07421, section 3."""

import numpy as np
import pytest
import torch
from nets import LinearScore, close, half_pixel_resize, numbers, pooled_net, random_maps

import pellucid
from pellucid.capture.running import Draws
from pellucid.errors import BadOption, Cancelled
from pellucid.methods import rise as source

IMAGE, CLASSES = random_maps(2, (2, 2, 7, 10)), [3, 0]


def run(net, target=CLASSES, image=IMAGE, chunk=None, seed=0, **options):
    options = {"cells": 3, **options}
    return pellucid.explain(net, image, "rise", target, options={"rise": options}, seed=seed, chunk=chunk)["rise"]


def masks_by_loops(count, cells, keep, size, seed):
    """Section 3.2: a grid of kept cells, drawn out to one cell more than the picture, cropped at a random place."""
    steps = [-(-length // cells) for length in size]
    out = np.zeros((count, *size))
    for n in range(count):
        drawn = numbers(Draws(seed).uniform(torch.tensor([n]), torch.zeros(1, cells**2 + 2, dtype=torch.float64)))[0]
        grid = (drawn[:-2] < keep).astype(float).reshape(1, cells, cells)
        large = half_pixel_resize(grid, *[(cells + 1) * step for step in steps])[0]
        top, left = (int(share * step) for share, step in zip(drawn[-2:], steps, strict=True))
        out[n] = large[top : top + size[0], left : left + size[1]]
    return out


def test_naive_loops():
    """One forward pass per mask and picture; every weight and every square added up one by one."""
    net, keep, fill = pooled_net(), 0.4, -0.5
    masks = masks_by_loops(30, 3, keep, (7, 10), seed=5)
    got = run(net, masks=30, keep=keep, fill=fill, seed=5)
    for k, c in enumerate(CLASSES):
        scores = []
        for mask in masks:
            mask = torch.from_numpy(mask)
            with torch.no_grad():
                scores.append(float(net((mask * IMAGE[k] + (1 - mask) * fill)[None])[0, c]))
        scores = np.array(scores)
        for i, j in np.ndindex(7, 10):
            weights = masks[:, i, j]
            mean = (scores * weights).sum() / weights.sum()
            # what each mask adds to the map's deviation from its limit, to first order
            each = weights / weights.mean() * (scores - mean) - (scores - scores.mean())
            error = np.sqrt((each**2).sum()) / len(masks)
            close(got.raw[k, i, j], mean)
            close(got.values[k, i, j], mean - scores.mean())
            close(got.extras["standard error"][k, i, j], error)


def covariance(cells, keep, size):
    """Of one pixel's mask value with another's, over kept cells and shifts: `[row, column, row, column]`."""
    axes = []
    for length in size:
        step = -(-length // cells)
        spread = half_pixel_resize(np.eye(cells)[None], (cells + 1) * step, cells)[0]
        axes.append(np.mean([spread[k : k + length] @ spread[k : k + length].T for k in range(step)], 0))
    return keep * (1 - keep) * np.einsum("ik,jl->ijkl", *axes)


def test_expectation_and_error_on_a_linear_model():
    """E[map] = sum_q w_q x_q Cov(M_q, M_p) / keep, and the errors are as large as the standard error says."""
    net, image = LinearScore((2, 6, 9)), random_maps(3, (1, 2, 6, 9))
    part = numbers((net.weight[2] * image[0]).sum(0))
    expected = np.einsum("kl,ijkl->ij", part, covariance(3, 0.5, (6, 9))) / 0.5
    off = [
        (numbers(got.values[0]) - expected) / numbers(got.extras["standard error"][0])
        for got in (run(net, 2, image, masks=800, seed=seed) for seed in range(12))
    ]
    assert 0.8 < np.sqrt(np.mean(np.square(off))) < 1.2
    assert np.abs(np.mean(off)) < 0.5


def test_a_constant_score_gives_an_empty_map():
    """Divided by the masks' expected sum, as in the paper's eq. 6, it would give one of noise."""
    got = run(lambda_net(lambda x: 5 + 0 * x.mean((1, 2, 3))), 0, masks=20)
    close(got.values, np.zeros((2, 7, 10)))
    close(got.extras["standard error"], np.zeros((2, 7, 10)), atol=1e-9)
    close(got.raw, np.full((2, 7, 10), 5.0))


def test_the_note_compares_the_error_with_the_map():
    got = run(pooled_net(), masks=20)
    error, largest = got.extras["standard error"].max(), got.values.abs().max()
    assert got.notes == (f"The standard error of a pixel is at most {error:.2g}; the largest value is {largest:.2g}.",)


def lambda_net(function):
    class Net(torch.nn.Module):
        def forward(self, x):
            return function(x)[:, None]

    return Net()


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_chunks_change_nothing(chunk):
    one, other = run(pooled_net(), masks=25), run(pooled_net(), masks=25, chunk=chunk)
    close(other.values, numbers(one.values))
    close(other.extras["standard error"], numbers(one.extras["standard error"]))


def test_masks_are_never_all_in_memory(monkeypatch):
    drawn, draw, whole = [], source._Masks.__call__, run(pooled_net(), masks=25)

    def watched(self, which):
        drawn.append(len(which))
        return draw(self, which)

    monkeypatch.setattr(source._Masks, "__call__", watched)
    monkeypatch.setattr(source, "_BYTES", 4 * 7 * 10 * 8)  # of float64
    got = run(pooled_net(), masks=25, chunk=5)
    assert max(drawn) == 5
    assert sum(drawn) == 2 * 25 + 25  # once for each picture's score, and once for the means
    close(got.values, numbers(whole.values))


def test_stopped_midway_it_is_the_estimate_from_fewer_masks():
    def progress(name, done, total):
        if name == "rise" and done >= 2 * 120:
            raise KeyboardInterrupt

    options = {"rise": {"cells": 3, "masks": 200}}
    with pytest.raises(Cancelled) as caught:
        pellucid.explain(pooled_net(), IMAGE, "rise", CLASSES, options=options, chunk=10, progress=progress)
    got, fewer = caught.value.finished["rise"], run(pooled_net(), masks=120)
    assert got.partial == (120, 200)
    close(got.values, numbers(fewer.values))
    close(got.extras["standard error"], numbers(fewer.extras["standard error"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": 1}, "Expected masks >= 2 and 0 < keep < 1 for rise, got 1 and 0.5"),
        ({"cells": 0}, "cells for rise, as many as there are pixels, got 0"),
        ({"keep": 1.0}, "got 4000 and 1.0"),
        ({"fill": "inpaint"}, "rise hides by degrees, which the fill 'inpaint' cannot; try blur, mean or a number"),
        ({"fill": "gray"}, "Expected a number, mean, blur, noise, inpaint or a picture as fill of rise, got 'gray'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(pooled_net(), **options)
