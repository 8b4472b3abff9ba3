"""Kernel SHAP, Lundberg & Lee, theorem 2."""

from math import comb

import numpy as np
import pytest
import torch
from games import Payoff, grid, painted, shapley, uniform
from nets import LinearScore, close, numbers, pooled_net, random_maps

import pellucid
from pellucid.errors import BadOption, Cancelled
from pellucid.targets import Probability

IMAGE, CLASSES = random_maps(2, (2, 2, 8, 12)), [3, 0]
LABELS = grid(8, 12, 2, 4)


def run(net, target=CLASSES, image=IMAGE, seed=0, chunk=None, **options):
    options = {"kernel-shap": {"regions": "2x4", "samples": 64, **options}}
    return pellucid.explain(net, image, "kernel-shap", target, options=options, seed=seed, chunk=chunk)["kernel-shap"]


def interacting():
    """A network whose answer is far from a sum over regions."""
    net = pooled_net()
    for weight in (net.conv1.weight, net.conv2.weight):
        weight.data *= 4
    return net


def drawn(players, pairs, seed):
    """The sets, as the paper has their probabilities: the kernel of a size times the number of sets of that size."""
    kernel = [(players - 1) / (comb(players, s) * s * (players - s)) for s in range(1, players)]
    chance = np.cumsum([k * comb(players, s) for s, k in enumerate(kernel, 1)])
    for pair in range(pairs):
        draw = uniform(seed, pair, players + 1)
        size = 1 + int((chance <= draw[0] * chance[-1]).sum())
        shown = set(draw[1:].argsort()[:size].tolist())
        yield shown
        yield set(range(players)) - shown


def constrained(payoff, sets, weights):
    """Least squares with the sum as a constraint, by a Lagrange multiplier."""
    n = payoff.players
    matrix, right = np.zeros((n + 1, n + 1)), np.zeros(n + 1)
    for shown, weight in zip(sets, weights, strict=True):
        z = np.array([float(player in shown) for player in range(n)])
        matrix[:n, :n] += weight * np.outer(z, z)
        right[:n] += weight * z * (payoff(shown) - payoff.nobody)
    matrix[n, :n] = matrix[:n, n] = 1
    right[n] = payoff.everybody - payoff.nobody
    return np.linalg.solve(matrix, right)[:n]


def test_naive_loops():
    net, got = pooled_net(), run(pooled_net(), seed=3)
    for k, c in enumerate(CLASSES):
        payoff = Payoff(net, IMAGE[k], LABELS, c)
        values = constrained(payoff, list(drawn(8, 32, 3)), [1] * 64)
        close(got.extras["values of regions"][k], values)
        close(got.raw[k], painted(LABELS, values))
        close(got.extras["score"][k], payoff.everybody)
        close(got.extras["baseline"][k], payoff.nobody)


@pytest.mark.parametrize("regions", ["2x4", "1x2", "1x3"])
def test_all_sets_give_the_exact_values(regions):
    net, got = interacting(), run(interacting(), regions=regions, samples=254)
    labels = grid(8, 12, *map(int, regions.split("x")))
    for k, c in enumerate(CLASSES):
        close(got.extras["values of regions"][k], shapley(Payoff(net, IMAGE[k], labels, c)), rtol=1e-7)
    assert not got.extras["standard error"].any()
    assert "exact Shapley values" in got.notes[0]
    assert got.cost.forward == 2 * 2 ** (int(labels.max()) + 1)  # every set of regions of both pictures, once


def test_the_exact_values_lie_within_the_error():
    # the error is an asymptotic one: many seeds of many samples
    net, off = interacting(), []
    exact = [shapley(Payoff(net, IMAGE[k], grid(8, 12, 3, 3), c)) for k, c in enumerate(CLASSES)]
    for seed in range(12):
        got = run(net, regions="3x3", samples=400, seed=seed)
        error = numbers(got.extras["standard error"])
        assert (error > 1e-6).all()
        off.append((numbers(got.extras["values of regions"]) - exact) / error)
    assert np.abs(off).max() < 4.5
    assert 0.6 < np.sqrt(np.mean(np.square(off))) < 1.4


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_add_up(dtype):
    got = run(interacting().to(dtype), image=IMAGE.to(dtype), regions=9)
    gap = got.extras["values of regions"].double().sum(1) - (got.extras["score"] - got.extras["baseline"]).double()
    assert gap.abs().max() < 1e-5


def test_linear_model_is_exact():
    net = LinearScore((2, 8, 12))
    parts = numbers((net.weight[1] * (IMAGE + 0.25)).sum(1))
    got = run(net, 1, fill=-0.25, samples=32)
    close(got.extras["values of regions"], [[part[r == LABELS].sum() for r in range(8)] for part in parts])
    close(got.extras["standard error"], np.zeros((2, 8)), atol=1e-9)


def test_probability():
    payoff = Payoff(pooled_net(), IMAGE[0], LABELS, 2, read=lambda scores: scores.softmax(1))
    got = run(pooled_net(), Probability((2,)), samples=254)
    close(got.extras["values of regions"][0], shapley(payoff), rtol=1e-7)


def test_seeds_chunks_and_batches():
    net = pooled_net()
    one = run(net)
    assert not torch.equal(run(net, seed=1).values, one.values)
    close(run(net, chunk=5).values, numbers(one.values))
    for k in range(2):
        close(run(net, CLASSES[k], IMAGE[k : k + 1]).values[0], numbers(one.values[k]))


@pytest.mark.parametrize("samples", [100, 254])
def test_stopped_midway(samples):
    last = []
    with pytest.raises(Cancelled) as stop:
        pellucid.explain(
            pooled_net(), IMAGE, "kernel-shap", CLASSES, chunk=10, cancel=lambda: bool(last) and last[-1] >= 130,
            options={"kernel-shap": {"regions": "2x4", "samples": samples}},
            progress=lambda label, done, total: last.append(done),
        )  # fmt: skip
    got = stop.value.finished["kernel-shap"]
    assert got.partial == (64, samples)
    total = got.extras["values of regions"].sum(1)
    close(total, numbers(got.extras["score"] - got.extras["baseline"]))
    assert bool((got.extras["standard error"] > 0).all())
    if samples == 100:
        close(got.values, numbers(run(pooled_net(), samples=64).values))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 31}, "at least 32 samples for 8 regions of kernel-shap, got 31"),
        ({"regions": "1x3", "samples": 5}, "at least 6 samples for 3 regions"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(pooled_net(), **options)
