"""Partition SHAP: Owen's values for nested unions."""

from itertools import product

import numpy as np
import pytest
import torch
from games import Payoff, grid, painted
from nets import LinearScore, close, numbers, pooled_net, random_maps

import pellucid
from pellucid.errors import BadOption, Cancelled
from pellucid.methods.partition_shap import _needed
from pellucid.targets import Probability

IMAGE, CLASSES = random_maps(2, (2, 2, 8, 12)), [3, 0]
LABELS = grid(8, 12, 2, 4)


def run(net, target=CLASSES, image=IMAGE, chunk=None, **options):
    options = {"partition-shap": {"regions": "2x4", **options}}
    return pellucid.explain(net, image, "partition-shap", target, options=options, chunk=chunk)["partition-shap"]


def interacting():
    """A network whose answer is far from a sum over regions."""
    net = pooled_net()
    for weight in (net.conv1.weight, net.conv2.weight):
        weight.data *= 4
    return net


# 2 x 4 cells of 4 x 3 pixels: from centre to centre 9 pixels across and 4 down, so first left from right; their halves
# are 3 across and 4 down
TREE = (((0, 1), (4, 5)), ((2, 3), (6, 7)))


def orders(tree):
    """Every order in which each group's regions stand together: both orders of each pair of halves."""
    if isinstance(tree, int):
        return [(tree,)]
    first, second = map(orders, tree)
    return [order for a, b in product(first, second) for order in (a + b, b + a)]


def owen(payoff, tree):
    """The definition: the mean of what each region adds, over these orders."""
    every = orders(tree)
    values = np.zeros(payoff.players)
    for order in every:
        for place, player in enumerate(order):
            values[player] += (payoff(order[: place + 1]) - payoff(order[:place])) / len(every)
    return values


def test_all_orders_one_by_one():
    net, got = interacting(), run(interacting())
    assert len(orders(TREE)) == 2**7
    for k, c in enumerate(CLASSES):
        payoff = Payoff(net, IMAGE[k], LABELS, c)
        values = owen(payoff, TREE)
        close(got.extras["values of regions"][k], values, rtol=1e-8)
        close(got.raw[k], painted(LABELS, values), rtol=1e-8)
        close(got.extras["score"][k], payoff.everybody)
        close(got.extras["baseline"][k], payoff.nobody)
    assert not got.extras["undivided"].any()
    assert got.notes == ()
    assert got.cost.forward == 2 * (2 + _needed(8)) == 2 * (2 + 42)


def test_regions_that_are_no_power_of_two():
    # five columns of 2, 3, 2, 3, 2 pixels: halves of 2 and 3, the 3 into 1 and 2
    net, labels = interacting(), grid(8, 12, 1, 5)
    got = run(net, regions="1x5")
    for k, c in enumerate(CLASSES):
        values = owen(Payoff(net, IMAGE[k], labels, c), ((0, 1), (2, (3, 4))))
        close(got.extras["values of regions"][k], values, rtol=1e-8)


@pytest.mark.parametrize("samples", [2, 7, 24, 1000])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_add_up_at_any_number_of_samples(samples, dtype):
    got = run(interacting().to(dtype), image=IMAGE.to(dtype), regions=9, samples=samples)
    gap = got.extras["values of regions"].double().sum(1) - (got.extras["score"] - got.extras["baseline"]).double()
    assert gap.abs().max() < 1e-5
    assert got.cost.forward <= 2 * (2 + samples)
    assert bool(got.extras["undivided"].any()) == (samples < 1000)
    assert ("shared evenly" in " ".join(got.notes)) == (samples < 1000)


def test_one_division_by_hand():
    net, got = interacting(), run(interacting(), samples=3)
    payoff = Payoff(net, IMAGE[0], LABELS, CLASSES[0])
    left, right = {0, 1, 4, 5}, {2, 3, 6, 7}
    whole = payoff.everybody - payoff.nobody
    part = (payoff(left) - payoff.nobody + payoff.everybody - payoff(right)) / 2
    close(got.extras["values of regions"][0], [(part if r in left else whole - part) / 4 for r in range(8)])
    assert got.extras["undivided"].tolist() == [1.0, 1.0]


def test_what_matters_most_is_divided_first():
    # everything hangs on the left half: with few samples its regions are told apart, those of the right are not
    net = LinearScore((2, 8, 12))
    net.weight.data[:, :, :, 6:] *= 0.01
    got = run(net, 1, samples=6)
    parts = numbers((net.weight[1] * IMAGE).sum(1))
    for k in range(2):
        values = numbers(got.extras["values of regions"][k])
        close(values[[0, 1]].sum(), parts[k][:4, :6].sum())
        assert len(set(values[[2, 3, 6, 7]].round(12))) == 1


def test_linear_model_is_exact():
    net = LinearScore((2, 8, 12))
    parts = numbers((net.weight[1] * (IMAGE + 0.25)).sum(1))
    got = run(net, 1, fill=-0.25)
    close(got.extras["values of regions"], [[part[r == LABELS].sum() for r in range(8)] for part in parts])


def test_probability():
    payoff = Payoff(pooled_net(), IMAGE[0], LABELS, 2, read=lambda scores: scores.softmax(1))
    close(run(pooled_net(), Probability((2,))).extras["values of regions"][0], owen(payoff, TREE))


@pytest.mark.parametrize("options", [{}, {"regions": 11, "samples": 60}])
def test_chunks_and_batches(options):
    net = interacting()
    one = run(net, **options)
    close(run(net, chunk=5, **options).values, numbers(one.values))
    for k in range(2):
        close(run(net, CLASSES[k], IMAGE[k : k + 1], **options).values[0], numbers(one.values[k]))


def test_stopped_midway():
    last = []
    with pytest.raises(Cancelled, match="Partition SHAP is an estimate from 10 of 42 samples") as stop:
        pellucid.explain(
            interacting(), IMAGE, "partition-shap", CLASSES, chunk=10, progress=lambda *at: last.append(at),
            cancel=lambda: bool(last) and last[-1][1:] == (10, 42), options={"partition-shap": {"regions": "2x4"}},
        )  # fmt: skip
    got = stop.value.finished["partition-shap"]
    close(got.values, numbers(run(interacting(), samples=10).values))


def test_bad_options():
    with pytest.raises(BadOption, match="at least 2 samples for partition-shap, got 1"):
        run(pooled_net(), samples=1)
