"""Kernels and what they are tuned to."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
from pellucid.inspection.filter_sheets import kernel_picture, matrix, pairs, response_picture, sheet, strongest
from pellucid.inspection.filters import FilterBank as Bank


def one(kernel):
    return Bank("layer", torch.as_tensor(kernel, dtype=torch.float32)[None, None]).kernels[0]


def gabor(frequency, degrees, size=15):
    """Stripes that run in a direction, counted counter-clockwise from the horizontal; rows count downwards."""
    steps = torch.arange(size) - size // 2
    down, across = torch.meshgrid(steps, steps, indexing="ij")
    angle = math.radians(degrees + 90)  # the wave runs across its stripes
    wave = across * math.cos(angle) - down * math.sin(angle)
    return torch.exp(-(down**2 + across**2) / 18) * torch.cos(2 * math.pi * frequency * wave)


SOBEL = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]  # finds vertical edges


@pytest.mark.parametrize(
    ("kernel", "name", "angle"),
    [
        (SOBEL, "edge", 90),
        (np.transpose(SOBEL), "edge", 0),
        ([[0, 1, 1], [-1, 0, 1], [-1, -1, 0]], "edge", 135),  # bright above right: the edge runs down to the right
        ([[0, 1, 0], [1, -4, 1], [0, 1, 0]], "spot", None),
        ([[1, 1, 1]] * 3, "low-pass", None),
        ([[1, 2, 1], [2, 4, 2], [1, 2, 1]], "low-pass", None),
        ([[3]], "point", None),
        ([[0, 0, 0]] * 3, "empty", None),
    ],
)
def test_kernels_of_the_textbook_go_by_their_names(kernel, name, angle):
    found = one(kernel)
    assert found.name == name
    if angle is None:
        assert found.orientation is None
    else:
        assert min(abs(found.orientation - angle) % 180, -abs(found.orientation - angle) % 180) < 1


@pytest.mark.parametrize(("frequency", "degrees"), [(0.2, 30), (0.15, 120), (0.3, 75), (0.25, 0)])
def test_gabors_are_read_back(frequency, degrees):
    found = one(gabor(frequency, degrees))
    assert found.name == "edge"
    assert abs(found.frequency - frequency) < 1 / 32
    assert min(abs(found.orientation - degrees) % 180, -abs(found.orientation - degrees) % 180) < 2
    assert found.selectivity > 0.8


def test_the_response_is_the_fourier_transform():
    weights = torch.randn(3, 2, 3, 5, generator=torch.Generator().manual_seed(1))
    bank = Bank("layer", weights)
    n = np.arange(32)
    wave_down = np.exp(-2j * np.pi * np.outer(n, np.arange(3)) / 32)
    wave_across = np.exp(-2j * np.pi * np.outer(np.arange(5), n) / 32)
    for unit in range(3):
        by_hand = sum(np.abs(wave_down @ kernel @ wave_across) ** 2 for kernel in weights[unit].numpy()) ** 0.5
        assert np.allclose(bank.responses([unit])[0], np.fft.fftshift(by_hand), atol=1e-4)


def test_colour():
    grey = torch.ones(1, 3, 3, 3)
    opponent = torch.tensor([1.0, -1.0, 0.0])[None, :, None, None].expand(1, 3, 3, 3)
    assert Bank("a", grey).kernels[0].colour == pytest.approx(0, abs=1e-5)
    assert Bank("a", opponent).kernels[0].colour == pytest.approx(1)
    assert Bank("a", torch.ones(1, 4, 3, 3)).kernels[0].colour is None


def test_nothing_is_nothing_beside_the_others():
    weights = torch.ones(3, 1, 3, 3)
    weights[1] = 1e-5
    assert [kernel.name for kernel in Bank("a", weights).kernels] == ["low-pass", "empty", "low-pass"]
    assert Bank("a", weights).names == {"low-pass": 2, "empty": 1}


def test_zero_is_neutral_and_one_scale_holds_for_a_layer():
    weights = torch.zeros(2, 3, 2, 2)
    weights[0, 0, 0, 0], weights[1, 2, 1, 1] = 1.0, -0.5
    bank = Bank("a", weights, on_picture=True)
    first, second = kernel_picture(bank, 0), kernel_picture(bank, 1)
    assert first[0, 0].tolist() == [255, 128, 128]
    assert first[1, 1].tolist() == [128, 128, 128]
    assert second[1, 1].tolist() == [128, 128, 64]
    signed = kernel_picture(Bank("a", weights[:, :1]), 0)
    assert signed[0, 0, 0] > 200  # red
    assert signed[1, 1].max() < 40


def test_sheets():
    bank = Bank("a", torch.randn(5, 7, 3, 3, generator=torch.Generator().manual_seed(0)))
    order = strongest(bank, 3)
    assert len(order) == 3
    strengths = [bank.kernels[unit].strength for unit in order]
    assert strengths == sorted(strengths, reverse=True)
    response = response_picture(bank.responses([0])[0])
    assert response.shape == (32, 32, 3)
    assert response.max() == 255
    assert [picture.shape[2] for picture in pairs(bank, order)] == [3, 3, 3]
    assert sheet(bank).size[0] > 100
    assert matrix(bank).size[0] > 100


def test_each_convolution_once_and_only_flat_ones():
    shared = nn.Conv2d(4, 4, 3, padding=1)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), shared, nn.ReLU(), shared, nn.Flatten(), nn.Linear(400, 2))
    found = pellucid.inspect(net, size=12).filters
    assert [bank.path for bank in found] == ["0", "1"]
    assert [bank.on_picture for bank in found] == [True, False]
    found[0].weights.zero_()
    assert net[0].weight.abs().sum() > 0  # a copy
    assert pellucid.inspect(nn.Conv1d(1, 2, 3), shape=(1, 9)).filters == ()
