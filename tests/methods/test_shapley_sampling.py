"""Shapley sampling, Castro, Gomez & Tejada 2009."""

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
    options = {"shapley-sampling": {"regions": "2x4", "permutations": 6, **options}}
    found = pellucid.explain(net, image, "shapley-sampling", target, options=options, seed=seed, chunk=chunk)
    return found["shapley-sampling"]


def naive(payoff, permutations, antithetic, seed):
    """One region after the other, in the drawn orders; the mean and its error over independent orders or pairs."""
    gains = np.zeros((permutations, payoff.players))
    for t in range(permutations):
        order = uniform(seed, t // 2 if antithetic else t, payoff.players).argsort()
        if antithetic and t % 2:
            order = order[::-1]
        shown = []
        for player in order:
            gains[t, player] = payoff([*shown, player]) - payoff(shown)
            shown.append(player)
    groups = gains.reshape(-1, 2, payoff.players).mean(1) if antithetic else gains
    return gains.mean(0), groups.std(0, ddof=1) / len(groups) ** 0.5


@pytest.mark.parametrize("antithetic", [True, False])
def test_naive_loops(antithetic):
    net, got = pooled_net(), run(pooled_net(), antithetic=antithetic, seed=5)
    for k, c in enumerate(CLASSES):
        payoff = Payoff(net, IMAGE[k], LABELS, c)
        values, error = naive(payoff, 6, antithetic, 5)
        close(got.extras["values of regions"][k], values)
        close(got.extras["standard error"][k], error)
        close(got.raw[k], painted(LABELS, values))
        close(got.extras["score"][k], payoff.everybody)
        close(got.extras["baseline"][k], payoff.nobody)


def interacting():
    """A network whose answer is far from a sum over regions."""
    net = pooled_net()
    for weight in (net.conv1.weight, net.conv2.weight):
        weight.data *= 4
    return net


@pytest.mark.parametrize("antithetic", [True, False])
def test_the_exact_values_lie_within_the_error(antithetic):
    net = interacting()
    got = run(net, permutations=400, antithetic=antithetic)
    for k, c in enumerate(CLASSES):
        exact = shapley(Payoff(net, IMAGE[k], LABELS, c))
        error = numbers(got.extras["standard error"][k])
        off = (numbers(got.extras["values of regions"][k]) - exact) / error
        assert (error > 1e-6).all()
        assert np.abs(off).max() < 4.5
        assert 0.3 < np.sqrt((off**2).mean()) < 2  # an error that were much too large or too small would show here


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_add_up(dtype):
    net, image = interacting().to(dtype), IMAGE.to(dtype)
    got = run(net, image=image, regions=9)
    total = got.extras["values of regions"].double().sum(1)
    gap = total - (got.extras["score"] - got.extras["baseline"]).double()
    assert gap.abs().max() < 1e-5


def test_linear_model_is_exact_with_any_order():
    net = LinearScore((2, 8, 12))
    parts = numbers((net.weight[1] * (IMAGE + 0.25)).sum(1))
    expected = [[part[r == LABELS].sum() for r in range(8)] for part in parts]
    got = run(net, 1, fill=-0.25, permutations=4)
    close(got.extras["values of regions"], expected)
    close(got.extras["standard error"], np.zeros((2, 8)), atol=1e-9)


def test_symmetric_pairs_settle_interactions_of_two():
    # score = product of two regions' sums: an order and its reverse together share it in half
    class Product(torch.nn.Module):
        def forward(self, x):
            return (x[:, :, :, :6].sum((1, 2, 3)) * x[:, :, :, 6:].sum((1, 2, 3)))[:, None]

    got = run(Product(), 0, regions="1x2", permutations=4)
    half = numbers(Product()(IMAGE)) / 2
    close(got.extras["values of regions"], np.repeat(half, 2, axis=1))


def test_probability():
    payoff = Payoff(pooled_net(), IMAGE[0], LABELS, 2, read=lambda scores: scores.softmax(1))
    close(run(pooled_net(), Probability((2,))).extras["values of regions"][0], naive(payoff, 6, True, 0)[0])


def test_seeds_chunks_and_batches():
    net = pooled_net()
    one = run(net)
    assert not torch.equal(run(net, seed=1).values, one.values)
    close(run(net, chunk=5).values, numbers(one.values))
    for k in range(2):
        close(run(net, CLASSES[k], IMAGE[k : k + 1]).values[0], numbers(one.values[k]))


def test_stopped_midway():
    # 8 regions: 7 samples for each of 6 orders; after 30 of 42 samples of both pictures, 4 orders are complete
    last = []
    with pytest.raises(Cancelled, match="Shapley sampling is an estimate from 28 of 42 samples") as stop:
        pellucid.explain(
            pooled_net(), IMAGE, "shapley-sampling", CLASSES, chunk=10, cancel=lambda: bool(last) and last[-1] >= 60,
            options={"shapley-sampling": {"regions": "2x4", "permutations": 6}},
            progress=lambda label, done, total: last.append(done),
        )  # fmt: skip
    got = stop.value.finished["shapley-sampling"]
    assert got.partial == (28, 42)
    whole = run(pooled_net(), permutations=4)
    close(got.values, numbers(whole.values))
    close(got.extras["standard error"], numbers(whole.extras["standard error"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"permutations": 3}, "an even number of permutations from 4 for shapley-sampling, got 3"),
        ({"permutations": 2}, "an even number of permutations from 4 for shapley-sampling, got 2"),
        ({"permutations": 1, "antithetic": False}, "at least 2 permutations for shapley-sampling, got 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(pooled_net(), **options)
