"""Total Sobol indices, Fel et al., arXiv:2111.04138; estimator of Jansen 1999."""

import numpy as np
import pytest
import torch
from nets import LinearScore, close, numbers, pooled_net, random_maps
from scipy.stats.qmc import Sobol

import pellucid
from pellucid.capture.running import Draws
from pellucid.errors import BadOption, Cancelled

IMAGE, CLASSES = random_maps(2, (2, 2, 7, 8)), [3, 0]


def run(net, target=CLASSES, image=IMAGE, chunk=None, seed=0, **options):
    options = {"cells": 2, **options}
    return pellucid.explain(net, image, "sobol", target, options={"sobol": options}, seed=seed, chunk=chunk)["sobol"]


def test_naive_loops():
    """SciPy's Sobol sequence, one forward pass for each of A, B and each A with one cell from B."""
    net, cells, designs = pooled_net(), 3, 8
    places = cells**2
    step = numbers(Draws(4).uniform(torch.tensor([0]), torch.zeros(1, 2 * places, dtype=torch.float64)))
    points = (Sobol(2 * places, scramble=False).random(designs) + step) % 1
    for k, c in enumerate(CLASSES):

        def score(grid, k=k, c=c):
            mask = np.zeros((7, 8))
            for i, j in np.ndindex(7, 8):
                mask[i, j] = grid[i * cells // 7 * cells + j * cells // 8]
            mask = torch.from_numpy(mask)
            with torch.no_grad():
                return float(net((mask * IMAGE[k] + (1 - mask) * 0.3)[None])[0, c])

        plain, lost = [], np.zeros((designs, places))
        for n, point in enumerate(points):
            a, b = point[:places], point[places:]
            plain += [score(a), score(b)]
            for i in range(places):
                mixed = a.copy()
                mixed[i] = b[i]
                lost[n, i] = (score(a) - score(mixed)) ** 2 / 2
        got = run(net, seed=4, cells=cells, designs=designs, fill=0.3)
        variance = np.var(plain, ddof=1)
        close(got.raw[k], (lost.mean(0) / variance).reshape(cells, cells))
        close(got.extras["standard error"][k], (lost.std(0, ddof=1) / designs**0.5 / variance).reshape(cells, cells))


def test_an_additive_score():
    """f = sum a_i m_i: cell i has the share a_i^2 of the variance, and the shares add up to 1."""
    net, image = LinearScore((2, 3, 3)), random_maps(5, (1, 2, 3, 3))
    parts = numbers((net.weight[1] * image[0]).sum(0)) ** 2
    got = run(net, 1, image, cells=3, designs=512)
    close(got.raw[0], parts / parts.sum(), rtol=0, atol=0.01)
    assert abs(float(got.raw.sum()) - 1) < 0.01


class Product(torch.nn.Module):
    def forward(self, x):
        return x.flatten(1).prod(1, keepdim=True)


def test_cells_that_act_together():
    """f = m_1 m_2: Var f = 7/144, of which E[m_2^2 / 12] = 4/144 is lost when m_1 is unknown: T = 4/7 each."""
    got = run(Product(), 0, torch.ones(1, 1, 1, 2, dtype=torch.float64), cells=None, designs=1024)
    close(got.raw[0], [[4 / 7, 4 / 7]], rtol=0, atol=0.02)  # by default no cell is without a pixel


def test_a_constant_score_gives_zeros():
    class Constant(torch.nn.Module):
        def forward(self, x):
            return x.new_full((len(x), 1), 3.0)

    got = run(Constant(), 0)
    close(got.raw, np.zeros((2, 2, 2)))
    assert any("zero everywhere" in note for note in got.notes)


@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_change_nothing(chunk):
    close(run(pooled_net(), designs=4, chunk=chunk).raw, numbers(run(pooled_net(), designs=4).raw))


def test_stopped_midway_it_is_the_estimate_from_fewer_designs():
    def progress(name, done, total):
        if name == "sobol" and done >= 2 * (9 * 6 + 2):
            raise KeyboardInterrupt

    with pytest.raises(Cancelled) as caught:
        pellucid.explain(
            pooled_net(), IMAGE, "sobol", CLASSES, options={"sobol": {"cells": 2}}, chunk=4, progress=progress
        )
    got = caught.value.finished["sobol"]
    assert got.partial == (9 * 6, 32 * 6)
    close(got.raw, numbers(run(pooled_net(), designs=9).raw))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"designs": 1}, "Expected designs >= 2 and 1 to 102 cells for sobol, got 1 and 2"),
        ({"cells": 0}, "cells for sobol, as many as there are pixels, got 0"),
        ({"cells": 103}, "cells for sobol, as many as there are pixels, got 103"),
        ({"fill": "inpaint"}, "sobol hides by degrees"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(pooled_net(), **options)
