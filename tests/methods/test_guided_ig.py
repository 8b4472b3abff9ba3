"""Guided integrated gradients, Kapishnikov et al., arXiv:2106.09788."""

import math

import numpy as np
import pytest
import torch
from nets import LinearScore, Rectified, close, numbers, random_maps
from torch.nn import functional as F

import pellucid
from pellucid.errors import BadOption

IMAGE, CLASSES = random_maps(0, (2, 2, 5, 6)), [3, 1]


def run(net, image=IMAGE, classes=CLASSES, **options):
    return pellucid.explain(net, image, "guided-ig", classes, options={"guided-ig": options})["guided-ig"]


def naive(slope, start, end, steps, fraction, distance):
    """One picture, one feature at a time; `slope` gives the gradient at a point."""
    here, raw, way, old = start.copy(), np.zeros_like(start), end - start, 0
    for step in range(1, steps + 1):
        t, g, before = step / steps, slope(here), here.copy()
        low, high = max(t - distance, 0), min(t + distance, 1)
        for i in range(len(here)):
            if way[i] and (here[i] - start[i]) / way[i] < low - 1e-12:
                here[i] = start[i] + low * way[i]
        most = start + high * way
        left = {i for i in range(len(here)) if abs(here[i] - most[i]) > 1e-12}
        while left and (missing := np.abs(end - here).sum() - (1 - t) * np.abs(way).sum()) > 1e-9:
            # features that stand at their limit stay in the ranking, last
            ranked = sorted([abs(g[i]) for i in left] + [math.inf] * (len(here) - len(left)))
            threshold = ranked[int(fraction * (len(here) - 1))]
            chosen = [i for i in left if abs(g[i]) <= threshold * (1 + 1e-6)]
            room = sum(abs(most[i] - here[i]) for i in chosen)
            for i in chosen:
                here[i] += min(1, missing / room) * (most[i] - here[i])
            if missing < room:
                break
            left -= set(chosen)
        raw += (here - before + old) / 2 * g
        old = here - before
    return raw + old / 2 * slope(here)


@pytest.mark.parametrize(("fraction", "distance"), [(0.25, 0.02), (0.1, 1.0), (0.6, 0.1), (1.0, 0.5)])
def test_one_feature_at_a_time(fraction, distance):
    net = Rectified(F.relu)

    def slope_of(k):
        return lambda flat: net.by_hand(torch.from_numpy(flat).reshape(1, 2, 5, 6), [CLASSES[k]], "plain").ravel()

    got = run(net, steps=9, fraction=fraction, distance=distance, baseline=0.5)
    for k, picture in enumerate(numbers(IMAGE)):
        expected = naive(slope_of(k), np.full(60, 0.5), picture.ravel(), 9, fraction, distance)
        close(got.raw[k].flatten(), expected, atol=1e-9)


def test_the_straight_line_is_integrated_gradients():
    # no distance: the trapezoid rule on the plain path
    net, expected, steps = Rectified(F.relu), 0, 6
    for k in range(steps + 1):
        weight = 0.5 if k in (0, steps) else 1.0
        expected = expected + weight * net.by_hand(k / steps * IMAGE, CLASSES, "plain") / steps
    close(run(net, steps=steps, distance=0.0, baseline=0.0).raw, numbers(IMAGE) * expected, atol=1e-9)


def test_exact_on_a_linear_model():
    net = LinearScore(classes=4)
    got = run(net, steps=5, baseline="-1, 2")
    close(got.raw, numbers(net.weight)[CLASSES] * (numbers(IMAGE) - 0.5))
    close(got.extras["gap"], np.zeros(2), atol=1e-9)


def test_each_picture_goes_its_own_way():
    net = Rectified(F.relu)
    both = run(net, steps=7)
    close(both.raw[1:], numbers(run(net, IMAGE[1:], CLASSES[1:], steps=7).raw))


def test_it_avoids_what_is_steep():
    # y = x1 x2 from (0, 0) with x1 far steeper at first: the flat feature moves first and collects nothing
    class Product(torch.nn.Module):
        def forward(self, x):
            first, second = x.flatten(1).unbind(1)
            return (first * second + 10 * first)[:, None]

    image = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    guided = run(Product(), image, 0, steps=100, distance=1.0, fraction=0.4, baseline=0.0).raw.flatten()
    close(guided, np.array([11.0, 0.0]), atol=0.02)  # the step round the corner moves both


class Pooled(torch.nn.Module):
    """Max pooling, with an error of the size of rounding before it."""

    def __init__(self, seed):
        super().__init__()
        self.error, self.weight = 1e-14 * random_maps(seed, (1, 2, 6, 6)), random_maps(7, (3, 18))

    def forward(self, x):
        return F.max_pool2d(x + self.error, 2).flatten(1) @ self.weight.T


def test_rounding_does_not_decide_the_ties_of_a_picture_of_one_colour():
    image = random_maps(1, (1, 2, 6, 6))
    one, other = (run(Pooled(seed), image, 0, steps=2, baseline=0.0).raw for seed in (2, 3))
    close(one, numbers(other), atol=1e-9)


def test_bad_options():
    with pytest.raises(BadOption, match=r"got steps 200, fraction 0\.0 and distance 0\.02"):
        run(LinearScore(classes=4), fraction=0.0)
