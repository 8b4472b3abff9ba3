"""Integrated gradients, Sundararajan et al., eq. 1."""

import numpy as np
import pytest
import torch
from nets import LinearScore, Rectified, close, numbers, pooled_net, random_maps
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.errors import BadOption

IMAGE, CLASSES = random_maps(0, (2, 2, 5, 6)), [3, 1]


def run(net, classes=CLASSES, **options):
    options = {"integrated-gradients": options}
    return pellucid.explain(net, IMAGE, "integrated-gradients", classes, options=options)["integrated-gradients"]


def naive(net, baseline, steps, rule="plain"):
    """Midpoint Riemann sum of the hand-written gradient."""
    total = 0
    for k in range(steps):
        point = baseline + (k + 0.5) / steps * (IMAGE - baseline)
        total = total + net.by_hand(point, CLASSES, rule) / steps
    return numbers(IMAGE - baseline) * total


@pytest.mark.parametrize(
    ("of", "rule"), [("saliency", "plain"), ("guided-backprop", "guided"), ("deconvnet", "deconvnet")]
)
def test_riemann_sum_of_the_hand_written_gradient(of, rule):
    net = Rectified(F.relu)
    expected = naive(net, 0.5, 50, rule)
    got = run(net, of=of, baseline=0.5, steps=50)
    # both are quadratures of a piecewise constant function: they differ by about a step at each kink
    close(got.raw, expected, rtol=0, atol=0.03 * np.abs(expected).max())
    close(got.values, numbers(got.raw).sum(1))


def test_completeness():
    net = Rectified(torch.tanh)
    with torch.no_grad():
        difference = (net(IMAGE) - net(torch.full_like(IMAGE, -1.0)))[range(2), CLASSES]
    got = run(net, baseline=-1.0)
    close(got.raw.sum((1, 2, 3)), numbers(difference), rtol=1e-6)
    assert got.extras["gap"].abs().max() < 1e-6 * difference.abs().max()


def test_the_gap_is_what_is_missing():
    net = Rectified(F.relu)
    with torch.no_grad():
        difference = (net(IMAGE) - net(torch.zeros_like(IMAGE)))[range(2), CLASSES]
    got = run(net, steps=2)
    close(got.extras["gap"], numbers(difference - got.raw.sum((1, 2, 3))))
    assert got.extras["gap"].abs().max() > 1e-3  # two points cannot follow the kinks
    many = run(net, steps=80).extras["gap"]
    assert many.abs().max() < 0.1 * got.extras["gap"].abs().max()


@pytest.mark.parametrize("steps", [1, 7])
def test_linear_model_whatever_the_steps(steps):
    net = LinearScore()
    got = run(net, [2, 0], steps=steps, baseline=2.0)
    close(got.raw, numbers(IMAGE - 2.0) * numbers(net.weight)[[2, 0]])
    close(got.extras["gap"], np.zeros(2), atol=1e-12)


def test_a_quadratic_needs_one_step_only():
    # S = sum w x^2: integral of 2 w (b + t (x - b)) dt = w (x + b), so raw = w (x - b)(x + b) = w (x^2 - b^2)
    class Quadratic(LinearScore):
        def forward(self, x):
            return super().forward(x**2)

    net = Quadratic()
    got = run(net, [2, 0], steps=1, baseline=0.5)
    close(got.raw, numbers(net.weight)[[2, 0]] * numbers(IMAGE**2 - 0.25))


def test_adds_up_to_the_score_of_a_relu_network_without_biases():
    # homogeneous: the gradient is the same all along the way from 0, so any number of steps is exact
    net = Rectified(F.relu)
    for layer in (net.conv1, net.conv2, net.fc):
        layer.bias.data.zero_()
    with torch.no_grad():
        scores = net(IMAGE)[range(2), CLASSES]
    got = run(net, steps=3)
    close(got.raw.sum((1, 2, 3)), numbers(scores))
    close(got.raw, numbers(pellucid.explain(net, IMAGE, "input-x-gradient", CLASSES)["input-x-gradient"].raw))


def test_the_class_is_that_of_the_picture_all_along_the_way():
    class Turning(nn.Module):
        """Top class 1 at the picture, 0 at the baseline."""

        def forward(self, x):
            total = x.flatten(1).abs().sum(1)
            return torch.stack([torch.ones_like(total), total], 1)

    got = pellucid.explain(Turning(), IMAGE, "integrated-gradients")["integrated-gradients"]
    close(got.raw, np.abs(numbers(IMAGE)))


def test_bad_options():
    with pytest.raises(BadOption, match="Expected 1 to 2,000 steps for integrated-gradients, got 0"):
        run(pooled_net(), steps=0)
    with pytest.raises(
        BadOption, match=r"numbers or black, white, mean, blur as baseline of integrated-gradients, .*'red'"
    ):
        run(pooled_net(), baseline="black, red")


@pytest.mark.parametrize("of", ["input-x-gradient", "guided-grad-cam", "grad-cam"])
def test_a_map_that_is_no_gradient_is_refused(of):
    with pytest.raises(BadOption, match=f"needs a gradient at the input, and '{of}' gives"):
        run(pooled_net(), of=of)


def test_several_baselines_are_the_mean_of_the_maps():
    net = Rectified(F.relu)
    both = run(net, baseline="0.5, mean", steps=9)
    one, other = (run(net, baseline=b, steps=9) for b in (0.5, "mean"))
    close(both.raw, numbers(one.raw + other.raw) / 2)
    close(both.extras["gap"], numbers(one.extras["gap"] + other.extras["gap"]) / 2, atol=1e-10)


def test_black_and_white_are_the_preprocessing_s():
    net, mean, std = LinearScore((3, 5, 6)), (0.2, 0.4, 0.6), (0.5, 0.25, 0.1)
    image = random_maps(1, (2, 3, 5, 6))
    model = pellucid.wrap(net, size=(5, 6), mean=mean, std=std)
    for name, level in (("black", 0.0), ("white", 1.0)):
        start = np.array([(level - m) / s for m, s in zip(mean, std, strict=True)])[:, None, None]
        got = pellucid.explain(
            model, image, "integrated-gradients", 1, options={"integrated-gradients": {"baseline": name}}
        )
        close(got["integrated-gradients"].raw, (numbers(image) - start) * numbers(net.weight)[1])
        assert got["integrated-gradients"].notes == ()


def test_unknown_black_is_the_picture_s_darkest_value_and_says_so():
    net = LinearScore(classes=4)
    got = run(net, baseline="black")
    darkest = numbers(IMAGE).min((1, 2, 3), keepdims=True)
    close(got.raw, (numbers(IMAGE) - darkest) * numbers(net.weight)[CLASSES])
    assert "unknown without preprocessing" in got.notes[0]


def test_the_blurred_baseline():
    ndimage = pytest.importorskip("scipy.ndimage")
    net = LinearScore(classes=4)
    soft = ndimage.gaussian_filter(numbers(IMAGE), [0, 0, 0.5, 0.5], mode="constant")
    close(run(net, baseline="blur").raw, (numbers(IMAGE) - soft) * numbers(net.weight)[CLASSES])
