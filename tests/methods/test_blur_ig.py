"""Blur integrated gradients, Xu et al., arXiv:2004.03383."""

import numpy as np
import pytest
import torch
from nets import LinearScore, Rectified, close, numbers, random_maps
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

import pellucid
from pellucid.errors import BadOption
from pellucid.numerics import gaussian_blur

IMAGE, CLASSES = random_maps(0, (2, 2, 5, 6)), [3, 1]


def run(net, **options):
    return pellucid.explain(net, IMAGE, "blur-ig", CLASSES, options={"blur-ig": options})["blur-ig"]


def soft(sigma):
    return gaussian_filter(numbers(IMAGE), [0, 0, sigma, sigma], mode="constant")


def test_the_blur_is_scipy_s():
    maps, widths = random_maps(1, (4, 2, 30, 23)), [0.0, 0.3, 2.0, 11.0]
    expected = [gaussian_filter(m, [0, s, s], mode="constant") for m, s in zip(numbers(maps), widths, strict=True)]
    close(gaussian_blur(maps, torch.tensor(widths)), np.stack(expected), atol=1e-7)


@pytest.mark.long
def test_path_integral_by_small_steps():
    """The definition: the hand-written gradient times the derivative of the blur, in 2,000 steps of equal width."""
    net, expected, step = Rectified(F.relu), 0, 3.0 / 2000
    for k in range(2000):
        slope = (soft((k + 1) * step) - soft(k * step)) / step
        here = torch.from_numpy(soft((k + 0.5) * step))
        expected = expected - step * slope * net.by_hand(here, CLASSES, "plain")
    close(run(net, steps=400, sigma=3.0).raw, expected, rtol=0, atol=0.01 * np.abs(expected).max())


def test_exact_on_a_linear_model_whatever_the_steps():
    net = LinearScore(classes=4)
    got = run(net, steps=2, sigma=1.5)
    close(got.raw, numbers(net.weight)[CLASSES] * (numbers(IMAGE) - soft(1.5)))
    close(got.extras["gap"], np.zeros(2), atol=1e-12)


def test_the_gap_is_what_is_missing():
    net = Rectified(torch.tanh)
    with torch.no_grad():
        ends = (net(IMAGE) - net(torch.from_numpy(soft(4.0))))[range(2), CLASSES]
    got = run(net, steps=4, sigma=4.0)
    close(got.extras["gap"], numbers(ends - got.raw.sum((1, 2, 3))), atol=1e-12)
    assert run(net, steps=60, sigma=4.0).extras["gap"].abs().max() < 0.02 * got.extras["gap"].abs().max()


def test_bad_options():
    with pytest.raises(BadOption, match="steps >= 1 and sigma > 0 for blur-ig, got steps 0 and sigma 50"):
        run(LinearScore(classes=4), steps=0)
