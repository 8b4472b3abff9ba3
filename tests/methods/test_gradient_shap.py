"""Gradient SHAP (arXiv:1705.07874) and expected gradients (arXiv:1906.10670)."""

import numpy as np
import pytest
import torch
from nets import LinearScore, Rectified, close, numbers, random_maps
from torch.nn import functional as F

import pellucid
from pellucid.errors import BadOption

IMAGE, CLASSES = random_maps(0, (2, 2, 5, 6)), [3, 1]


def run(method, net, image=IMAGE, seed=0, chunk=None, **options):
    found = pellucid.explain(net, image, method, CLASSES, options={method: options}, seed=seed, chunk=chunk)
    return found[method]


class Square(torch.nn.Module):
    """S = sum w x^2 / 2: integrated gradients from B are w (x - B)(x + B) / 2, and its mean is known."""

    def __init__(self):
        super().__init__()
        self.linear = LinearScore(classes=4)

    def forward(self, x):
        return self.linear(x**2 / 2)


def close_on_average(got, expected, spread, samples):
    """Within five standard errors, everywhere."""
    assert float((got - expected).abs().max()) < 5 * spread / samples**0.5


@pytest.mark.long
def test_gradient_shap_is_integrated_gradients_on_average():
    net, samples = Rectified(F.relu), 4000
    options = {"integrated-gradients": {"baseline": "-1, 2", "steps": 200}}
    mean = pellucid.explain(net, IMAGE, "integrated-gradients", CLASSES, options=options)["integrated-gradients"].raw
    got = run("gradient-shap", net, samples=samples, noise=0.0, baseline="-1, 2").raw
    spread = max(
        float(run("gradient-shap", net, seed=s, samples=1, noise=0.0, baseline="-1, 2").raw.std()) for s in range(5)
    )
    close_on_average(got, mean, 3 * spread, samples)
    assert float((got - mean).abs().max()) < 0.15 * float(mean.abs().max())


@pytest.mark.long
def test_noise_is_part_of_the_way():
    # E[(x + s e - b) w (b + t (x + s e - b))] = w ((x^2 - b^2) + s^2) / 2
    net, samples, baseline = Square(), 4000, 0.5
    sigma = 0.3 * (IMAGE.amax((1, 2, 3), True) - IMAGE.amin((1, 2, 3), True))
    expected = net.linear.weight.detach()[CLASSES] * (IMAGE**2 - baseline**2 + sigma**2) / 2
    got = run("gradient-shap", net, samples=samples, noise=0.3, baseline=baseline).raw
    assert float((got - expected).abs().max()) < 0.1 * float(expected.abs().max())


@pytest.mark.parametrize("references", ["colours", "noise"])
def test_expected_gradients_on_average(references):
    # B uniform in [low, high] (the picture's own range): E[B^2] = (low^2 + low high + high^2) / 3
    net, samples = Square(), 3000
    low, high = IMAGE.amin((1, 2, 3), True), IMAGE.amax((1, 2, 3), True)
    expected = net.linear.weight.detach()[CLASSES] * (IMAGE**2 - (low**2 + low * high + high**2) / 3) / 2
    got = run("expected-gradients", net, samples=samples, references=references)
    assert float((got.raw - expected).abs().max()) < 0.1 * float(expected.abs().max())
    assert "unknown without preprocessing" in got.notes[0]


def test_references_lie_between_black_and_white():
    # score x on one pixel of a grey model: raw = x - B, so every B shows
    model = pellucid.wrap(LinearScore((1, 1, 1)), size=1, mean=[0.25], std=[0.5])
    model.module.weight.data.fill_(1)
    drawn = [-float(run_one(model, seed).raw) for seed in range(200)]
    assert -0.5 <= min(drawn) < -0.4
    assert 1.4 < max(drawn) <= 1.5
    assert abs(np.mean(drawn) - 0.5) < 0.15


def run_one(model, seed):
    options = {"expected-gradients": {"samples": 1}}
    return pellucid.explain(
        model, torch.zeros(1, 1, 1, 1).double(), "expected-gradients", 0, options=options, seed=seed
    )["expected-gradients"]


@pytest.mark.parametrize("method", ["gradient-shap", "expected-gradients"])
def test_draws_belong_to_the_sample(method):
    net = Rectified(F.relu)
    whole = run(method, net, seed=3, samples=5)
    close(run(method, net, seed=3, samples=5, chunk=2).raw, numbers(whole.raw))
    assert not torch.equal(whole.raw, run(method, net, seed=4, samples=5).raw)


def test_bad_options():
    net = Rectified(F.relu)
    with pytest.raises(BadOption, match="noise >= 0 for gradient-shap, got -1"):
        run("gradient-shap", net, noise=-1.0)
    with pytest.raises(BadOption, match="at least 1 sample for expected-gradients, got 0"):
        run("expected-gradients", net, samples=0)
    with pytest.raises(BadOption, match="'colours' or 'noise' as references of expected-gradients, got 'cats'"):
        run("expected-gradients", net, references="cats")
