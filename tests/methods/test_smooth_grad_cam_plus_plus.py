"""Smooth Grad-CAM++, Omeiza et al., arXiv:1908.01224."""

import numpy as np
import torch
from nets import Rectified, close, numbers, random_maps
from torch.nn import functional as F

import pellucid
from pellucid.capture.running import Draws

IMAGE, CLASSES = random_maps(0, (2, 2, 5, 6)), [3, 1]


def run(net, seed=0, chunk=None, **options):
    options = {"smooth-grad-cam++": options}
    found = pellucid.explain(net, IMAGE, "smooth-grad-cam++", CLASSES, "conv1", options, seed=seed, chunk=chunk)
    return found["smooth-grad-cam++"].raw


def gradient(net, picture, classes):
    first = net.conv1(picture).detach().requires_grad_()
    score = net.fc(net.conv2(first.relu()).relu().flatten(1))[range(len(classes)), classes].sum()
    return numbers(torch.autograd.grad(score, first)[0])


def test_moments_of_hand_made_gradients():
    net, samples, noise = Rectified(F.relu), 4, 0.4
    slopes = []
    for n in range(samples):
        unit = Draws(5).normal(torch.tensor([n]), IMAGE)
        spread = noise * (IMAGE.amax((1, 2, 3)) - IMAGE.amin((1, 2, 3)))
        slopes.append(gradient(net, IMAGE + spread[:, None, None, None] * unit, CLASSES))
    one, two, three = (np.mean([g**power for g in slopes], 0) for power in (1, 2, 3))
    clean = numbers(net.conv1(IMAGE))
    below = 2 * two + clean.sum((2, 3), keepdims=True) * three
    alpha = np.divide(two, below, out=np.zeros_like(two), where=below != 0)
    weights = (alpha * np.maximum(one, 0)).sum((2, 3), keepdims=True)
    expected = np.maximum((weights * clean).sum(1), 0)
    assert expected.any()
    close(run(net, seed=5, samples=samples, noise=noise), expected)
    close(run(net, seed=5, samples=samples, noise=noise, chunk=3), expected)


def test_without_noise_it_is_grad_cam_plus_plus():
    net = Rectified(F.relu)
    plain = pellucid.explain(net, IMAGE, "grad-cam++", CLASSES, "conv1")["grad-cam++"].raw
    close(run(net, noise=0.0, samples=3), numbers(plain))
