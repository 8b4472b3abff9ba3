"""SmoothGrad, Smilkov et al."""

import numpy as np
import pytest
import torch
from nets import LinearScore, Rectified, close, numbers, pooled_net, random_maps
from torch.nn import functional as F

import pellucid
from pellucid.capture.running import Draws
from pellucid.errors import BadOption

IMAGE, CLASSES = random_maps(0, (2, 2, 5, 6)) * torch.tensor([1.0, 7.0])[:, None, None, None], [3, 1]


def run(net, seed=0, chunk=None, base=None, **options):
    options = {"smoothgrad": options, **(base or {})}
    return pellucid.explain(net, IMAGE, "smoothgrad", CLASSES, options=options, seed=seed, chunk=chunk)["smoothgrad"]


def noisy_copies(samples, noise, seed):
    """One picture at a time, sigma as a fraction of its own range; the draws are the only thing taken from src."""
    draws = Draws(seed)
    for n in range(samples):
        unit = numbers(draws.normal(torch.tensor([n]), IMAGE)[0])
        copy = np.stack([p + noise * (p.max() - p.min()) * unit for p in numbers(IMAGE)])
        yield torch.from_numpy(copy)


def naive(method, net, samples, noise, seed):
    total = 0
    for copy in noisy_copies(samples, noise, seed):
        total = total + numbers(pellucid.explain(net, copy, method, CLASSES)[method].raw)
    return total / samples


def test_mean_of_hand_written_gradients():
    net, total = Rectified(F.relu), 0
    for copy in noisy_copies(3, 0.3, seed=11):
        total = total + net.by_hand(copy, CLASSES, "plain")
    got = run(net, seed=11, samples=3, noise=0.3)
    close(got.raw, total / 3)
    close(got.values, np.abs(total / 3).max(1))


@pytest.mark.parametrize("of", ["guided-backprop", "input-x-gradient", "grad-cam", "layer-cam", "guided-grad-cam"])
def test_of_other_methods(of):
    net = pooled_net()
    got = run(net, seed=2, of=of, samples=3, noise=0.2)
    close(got.raw, naive(of, net, 3, 0.2, seed=2))


def test_the_map_loses_its_channels_as_the_base_does():
    net = pooled_net()
    got = run(net, of="input-x-gradient", samples=2)
    close(got.values, numbers(got.raw).sum(1))
    assert run(net, of="grad-cam", samples=2).raw.ndim == 3


def test_options_of_the_base():
    signed = run(pooled_net(), base={"grad-cam": {"rectify": False}}, of="grad-cam", samples=2)
    assert signed.raw.min() < 0


@pytest.mark.parametrize("of", ["saliency", "guided-backprop", "grad-cam"])
def test_without_noise_it_is_the_base(of):
    net = pooled_net()
    close(run(net, of=of, noise=0.0, samples=4).raw, numbers(pellucid.explain(net, IMAGE, of, CLASSES)[of].raw))


def test_the_class_is_that_of_the_clean_picture():
    # so much noise that copies change their class; the explained class must not follow them
    net = Rectified(F.relu)
    top = pellucid.explain(net, IMAGE, "smoothgrad", options={"smoothgrad": {"noise": 3.0, "samples": 4}})
    with torch.no_grad():
        classes = net(IMAGE).argmax(1).tolist()
        copies = [net(copy).argmax(1).tolist() for copy in noisy_copies(4, 3.0, seed=0)]
    assert any(found != classes for found in copies)
    expected = sum(net.by_hand(copy, classes, "plain") for copy in noisy_copies(4, 3.0, seed=0)) / 4
    close(top["smoothgrad"].raw, expected)


def test_a_linear_model_has_nothing_to_smooth():
    net = LinearScore(classes=4)
    close(run(net, noise=1.0).raw, numbers(net.weight)[CLASSES])


def test_noise_is_as_wide_as_said():
    # score = sum of x^2 / 2 has gradient x, so raw - x is the mean of the noise itself
    image = random_maps(1, (1, 1, 40, 40))
    sigma = 0.2 * float(image.max() - image.min())

    class Square(torch.nn.Module):
        def forward(self, x):
            return (x**2 / 2).flatten(1).sum(1, keepdim=True)

    options = {"smoothgrad": {"noise": 0.2, "samples": 4}}
    mean = pellucid.explain(Square(), image, "smoothgrad", 0, options=options)["smoothgrad"].raw - image
    assert abs(float(mean.mean())) < 4 * sigma / 2 / 40
    assert abs(float(mean.std()) / (sigma / 2) - 1) < 0.1


def test_the_seed_decides():
    net = Rectified(F.relu)
    assert torch.equal(run(net, seed=1).raw, run(net, seed=1).raw)
    assert not torch.equal(run(net, seed=1).raw, run(net, seed=2).raw)
    close(run(net, seed=1, chunk=3).raw, numbers(run(net, seed=1).raw))


@pytest.mark.parametrize(
    ("options", "message"), [({"samples": 0}, "got 0 and 0.15"), ({"noise": -0.1}, "got 25 and -0.1")]
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=f"Expected samples >= 1 and noise >= 0 for smoothgrad, {message}"):
        run(pooled_net(), **options)


def test_a_method_that_is_built_on_itself_is_refused():
    with pytest.raises(BadOption, match="smoothgrad cannot be built on smoothgrad, which is built on it"):
        run(pooled_net(), of="smoothgrad")
