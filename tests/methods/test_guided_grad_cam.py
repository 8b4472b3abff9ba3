"""Guided Grad-CAM, Selvaraju et al., section 3.2: the product of two methods."""

import numpy as np
import torch
from nets import close, conv_back, half_pixel_resize, numbers, random_maps, rectifier_back
from torch import nn

import pellucid
from pellucid.methods.guided_grad_cam import guided_grad_cam
from pellucid.numerics import resize

IMAGE, CLASSES = random_maps(0, (2, 2, 6, 8)), [3, 1]


def test_product_of_the_naive_twins():
    torch.manual_seed(9)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3 * 3 * 4, 4)
    ).double()
    weight = numbers(net[0].weight)
    with torch.no_grad():
        before, pooled = numbers(net[0](IMAGE)), numbers(net[:3](IMAGE))
    above = numbers(net[4].weight)[CLASSES].reshape(2, 3, 3, 4)
    coarse, spread = np.zeros((2, 3, 4)), np.zeros_like(before)
    for n, k, i, j in np.ndindex(above.shape):
        coarse[n, i, j] += above[n, k].mean() * pooled[n, k, i, j]
        spread[n, k, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = above[n, k, i, j] / 4
    fine = conv_back(rectifier_back(spread, before, "guided"), weight)
    expected = fine * half_pixel_resize(np.maximum(coarse, 0), 6, 8)[:, None]
    got = pellucid.explain(net, IMAGE, "guided-grad-cam", CLASSES, "2")["guided-grad-cam"]
    close(got.raw, expected)
    close(got.values, np.abs(expected).max(1))
    assert np.abs(expected).max() > 0


def test_hand_made_tensors():
    activation = torch.tensor([[[[1.0, 3.0]]]])
    gradient = torch.tensor([[[[2.0, 2.0]]]])  # Grad-CAM: 2, 6; on four columns: 2, 3, 5, 6
    fine = torch.tensor([[[[1.0, -1.0, 10.0, 0.0]], [[0.0, 2.0, 1.0, 1.0]]]])
    got = guided_grad_cam(activation, gradient, fine, (), lambda maps: resize(maps, (1, 4)))
    assert got.raw.tolist() == [[[[2, -3, 50, 0]], [[0, 6, 5, 6]]]]
