"""Sizes, parameters and receptive fields, against the textbook and against torch."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from pellucid import arithmetic
from pellucid.errors import BadOption

SMALL = st.integers(1, 4)
quick = settings(max_examples=40, deadline=None)


def test_alexnets_first_layers():
    first = arithmetic.conv2d(size=227, kernel=11, stride=4, in_channels=3, out_channels=96)
    assert first.output == (55, 55)
    assert first.parameters == 96 * (11 * 11 * 3 + 1) == 34_944
    assert first.multiply_adds == 55 * 55 * 96 * 363
    pooled = arithmetic.pool2d(after=first, kernel=3, stride=2)
    assert pooled.output == (27, 27)
    assert pooled.channels == 96
    assert (pooled.field[0].size, pooled.field[0].step) == (19, 8)
    assert "floor((227 + 0 + 0 - 1 * (11 - 1) - 1) / 4) + 1 = 55" in str(first)


def seen(layer, size, position):
    """Cells of the input whose gradient at one output position is not zero: the first, and the last + 1."""
    x = torch.ones(1, 1, size, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x)[0, 0, position], x)
    cells = gradient[0, 0].nonzero()[:, 0].tolist()
    return (cells[0], cells[-1] + 1) if cells else None


def positive(layer):
    for parameter in layer.parameters():
        nn.init.constant_(parameter, 0.5)
    return layer.double()


def clipped(window, size):
    return max(window[0], 0), min(window[1], size)


@quick
@given(st.integers(1, 24), SMALL, SMALL, st.integers(0, 3), SMALL, st.booleans())
def test_a_convolution(size, kernel, stride, padding, dilation, grouped):
    assume(size + 2 * padding >= dilation * (kernel - 1) + 1)
    channels, groups = (4, 2) if grouped else (1, 1)
    layer = positive(nn.Conv1d(channels, channels, kernel, stride, padding, dilation, groups))
    found = arithmetic.conv1d(
        size, kernel, stride, padding, dilation, in_channels=channels, out_channels=channels, groups=groups
    )
    x = torch.ones(1, channels, size, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter:
        y = layer(x)
    assert found.output == tuple(y.shape[2:])
    assert found.parameters == sum(p.numel() for p in layer.parameters())
    assert found.multiply_adds * 2 == counter.get_total_flops()
    if not grouped:
        for position in {0, found.output[0] // 2, found.output[0] - 1}:
            start, stop = found.field[0].window(position)
            taps = [start + dilation * k for k in range(kernel)]
            inside = [tap for tap in taps if 0 <= tap < size]
            assert seen(layer, size, position) == ((inside[0], inside[-1] + 1) if inside else None)
            assert stop == taps[-1] + 1


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@quick
@given(st.integers(1, 24), SMALL, SMALL, SMALL)
def test_padding_by_name(size, kernel, stride, dilation):
    x = torch.ones(1, 1, size)
    same, full = (arithmetic.conv1d(size, kernel, s, p, dilation) for s, p in ((1, "same"), (stride, "full")))
    assert same.output == tuple(F.conv1d(x, torch.ones(1, 1, kernel), padding="same", dilation=dilation).shape[2:])
    span = dilation * (kernel - 1)
    assert full.output == tuple(
        F.conv1d(x, torch.ones(1, 1, kernel), stride=stride, padding=span, dilation=dilation).shape[2:]
    )
    assert arithmetic.conv1d(size, kernel, stride, "same", dilation).output == (math.ceil(size / stride),)
    if size > span:
        valid = arithmetic.conv1d(size, kernel, stride, "valid", dilation)
        assert valid == arithmetic.conv1d(size, kernel, stride, 0, dilation)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
def test_same_padding_puts_the_odd_cell_behind():
    layer = positive(nn.Conv1d(1, 1, 4, padding="same"))
    window = arithmetic.conv1d(9, 4, padding="same").field[0].window(4)
    assert seen(layer, 9, 4) == window == (3, 7)


@quick
@given(st.integers(1, 12), SMALL, SMALL, st.integers(0, 2), SMALL, st.integers(0, 3))
def test_a_transposed_convolution(size, kernel, stride, padding, dilation, extra):
    assume(extra < max(stride, dilation) and (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra >= 0)
    layer = positive(nn.ConvTranspose1d(1, 1, kernel, stride, padding, extra, dilation=dilation))
    found = arithmetic.conv_transpose1d(
        size, kernel, stride, padding, dilation, output_padding=extra, in_channels=1, out_channels=1
    )
    x = torch.ones(1, 1, size, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter:
        y = layer(x)
    assert found.output == tuple(y.shape[2:])
    assert found.parameters == sum(p.numel() for p in layer.parameters())
    assert found.multiply_adds * 2 == counter.get_total_flops()
    for position in range(found.output[0]):
        inside = seen(layer, size, position)
        if inside:
            low, high = clipped(found.field[0].window(position), size)
            assert low <= inside[0] < inside[1] <= high
            assert not found.field[0].exact or dilation > 1 or (low, high) == inside


@quick
@given(st.integers(1, 24), SMALL, SMALL, st.integers(0, 2), SMALL, st.booleans())
def test_pooling(size, kernel, stride, padding, dilation, ceil_mode):
    assume(padding <= kernel // 2 and size + 2 * padding >= dilation * (kernel - 1) + 1)
    found = arithmetic.pool1d(size, kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    layer = nn.MaxPool1d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    assert found.output == tuple(layer(torch.ones(1, 1, size)).shape[2:])
    if dilation == 1 and found.output[0] > 0:
        mean = nn.AvgPool1d(kernel, stride, padding, ceil_mode)
        assert found.output == tuple(mean(torch.ones(1, 1, size)).shape[2:])
        for position in range(found.output[0]):
            assert seen(mean, size, position) == clipped(found.field[0].window(position), size)
    assert found.parameters == found.multiply_adds == 0


@quick
@given(st.integers(1, 24), st.integers(1, 9))
def test_adaptive_pooling(size, output):
    found = arithmetic.adaptive_pool1d(size, output)
    layer = nn.AdaptiveAvgPool1d(output)
    assert found.output == tuple(layer(torch.ones(1, 1, size)).shape[2:])
    for position in range(output):
        low, high = clipped(found.field[0].window(position), size)
        inside = seen(layer, size, position)
        assert low <= inside[0] < inside[1] <= high
        assert not found.field[0].exact or (low, high) == inside


@quick
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1)), min_size=1, max_size=4))
def test_layers_one_behind_another(stack):
    size = 160
    found, parts = None, []
    for kernel, stride, padding in stack:
        start = {"size": size} if found is None else {"after": found}
        found = arithmetic.conv1d(kernel=kernel, stride=stride, padding=padding, **start)
        parts.append(nn.Conv1d(1, 1, kernel, stride, padding, bias=False))
    network = positive(nn.Sequential(*parts))
    middle = found.output[0] // 2
    window = found.field[0].window(middle)
    if all(stride <= kernel for kernel, stride, _ in stack):
        assert seen(network, size, middle) == clipped(window, size)
    assert found.field[0].size == window[1] - window[0]


def test_axes_may_differ():
    found = arithmetic.conv2d((30, 20), (3, 5), (1, 2), (0, 2), in_channels=8, out_channels=8, groups=8)
    layer = nn.Conv2d(8, 8, (3, 5), (1, 2), (0, 2), groups=8)
    assert found.output == tuple(layer(torch.ones(1, 8, 30, 20)).shape[2:])
    assert found.parameters == sum(p.numel() for p in layer.parameters())
    assert arithmetic.conv3d(9, 3).output == (7, 7, 7)


def test_a_dense_layer():
    found = arithmetic.linear(10, 4)
    assert (found.parameters, found.multiply_adds, found.field[0].size) == (44, 40, 10)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: arithmetic.conv2d(5, 7), "does not fit: floor"),
        (lambda: arithmetic.conv2d(kernel=3), "either the size"),
        (lambda: arithmetic.conv2d(5, 3, after=arithmetic.conv2d(9, 3)), "either the size"),
        (lambda: arithmetic.conv2d(5, 0), "from 1 or 2 of them as kernel"),
        (lambda: arithmetic.conv2d((5, 5, 5), 3), "as size"),
        (lambda: arithmetic.conv2d(5, 3, padding="equal"), "'same' or 'full', got 'equal'"),
        (lambda: arithmetic.conv2d(5, 3, in_channels=3, out_channels=4, groups=2), "do not divide into 2"),
        (lambda: arithmetic.conv_transpose2d(5, 3, padding="same"), "from 0 or 2 of them as padding"),
        (lambda: arithmetic.linear(0, 4), "features from 1"),
    ],
)
def test_what_cannot_be(call, words):
    with pytest.raises(BadOption, match=words):
        call()
