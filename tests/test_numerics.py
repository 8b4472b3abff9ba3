"""Numbers shared by the methods."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from pellucid.numerics import (
    along_axes,
    components,
    crops,
    full_precision,
    gaussian_blur,
    max_abs,
    resize,
    safe_divide,
)


def test_resize_has_half_pixel_centres():
    # two cells of four pixels: their middles lie at pixel 0.5 and 2.5, so pixels 1 and 2 are 1/4 and 3/4 of the way
    grid = torch.tensor([[[0.0, 4.0], [8.0, 12.0]]])
    row = torch.tensor([0.0, 1.0, 3.0, 4.0])
    assert torch.equal(resize(grid, (4, 4))[0], row + 2 * row[:, None])


def test_resize_keeps_channels():
    maps = torch.arange(8.0).reshape(1, 2, 2, 2)
    assert resize(maps, (4, 2)).shape == (1, 2, 4, 2)
    assert torch.equal(resize(maps, (4, 2))[:, 1], resize(maps[:, 1], (4, 2)))


def test_resize_to_the_same_size_changes_nothing():
    grid = torch.randn(1, 3, 5)
    assert torch.equal(resize(grid, (3, 5)), grid)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_resize_never_overshoots_and_mirrors(rows, columns, tall, wide, seed):
    grid = torch.randn(2, rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    resized = resize(grid, (tall, wide))
    assert resized.shape == (2, tall, wide)
    assert resized.max() <= grid.max() + 1e-12
    assert resized.min() >= grid.min() - 1e-12
    torch.testing.assert_close(resize(grid.flip(2), (tall, wide)), resized.flip(2))


def test_safe_divide():
    numerator = torch.tensor([6.0, 5.0, 0.0, -3.0, float("nan")])
    denominator = torch.tensor([-2.0, 0.0, 0.0, 1e-30, 0.0])
    assert safe_divide(numerator, denominator).tolist() == pytest.approx([-3, 0, 0, -3e30, 0])


def test_safe_divide_broadcasts():
    assert safe_divide(torch.ones(2, 3), torch.tensor([[2.0], [0.0]])).tolist() == [[0.5] * 3, [0.0] * 3]


def test_max_abs():
    maps = torch.tensor([[[[1.0, -2.0]], [[-3.0, 0.5]]]])
    assert max_abs(maps).tolist() == [[[3, 2]]]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_becomes_single(kind):
    assert full_precision(torch.ones(1, dtype=kind)).dtype == torch.float32


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_other_types_stay(kind):
    tensor = torch.ones(1, dtype=kind)
    assert full_precision(tensor) is tensor


def test_resize_in_one_and_three_axes():
    # a lone axis is a picture with one row, and a volume of one slice is a picture; a third axis has middles too
    lone = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(resize(lone, (9,)), resize(lone[:, :, None], (1, 9))[:, :, 0])
    torch.testing.assert_close(resize(lone[:, 0], (9,)), resize(lone, (9,))[:, 0])
    grid = torch.tensor([0.0, 4.0]).reshape(1, 2, 1, 1).expand(1, 2, 2, 3)
    assert torch.equal(resize(grid, (4, 2, 3))[0, :, 0, 0], torch.tensor([0.0, 1.0, 3.0, 4.0]))


def test_matrices_along_one_to_three_axes():
    draw = torch.Generator().manual_seed(1)
    maps, several = (
        torch.randn(2, 2, 3, 4, 5, generator=draw),
        [torch.randn(k + 1, k, generator=draw) for k in (3, 4, 5)],
    )
    expected = torch.einsum("bcijk,xi,yj,zk->bcxyz", maps, *several)
    torch.testing.assert_close(along_axes(maps, several), expected)
    torch.testing.assert_close(along_axes(maps[:, :, 0, 0], several[2:]), maps[:, :, 0, 0] @ several[2].T)
    assert torch.equal(along_axes(maps[:, 0], several[1:]), several[1] @ maps[:, 0] @ several[2].T)


@pytest.mark.parametrize("size", [(9,), (5, 4, 6)])
def test_blur_in_one_and_three_axes(size):
    maps = torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = gaussian_blur(maps, torch.tensor([0.7, 1.3]))
    expected = [
        [gaussian_filter(m.numpy(), s, mode="constant") for m in row] for row, s in zip(maps, (0.7, 1.3), strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-7)


def test_parts_of_volumes_and_signals():
    volume = np.zeros((3, 3, 3), bool)
    volume[0, 0, 0] = volume[1, 1, 1] = volume[2, 0, 2] = True  # corners touch
    volume[0, 2, 2] = True
    assert [int(part.sum()) for part in components(volume)] == [4]
    volume[1, 1, 1] = False
    assert [int(part.sum()) for part in components(volume)] == [1, 1, 1]
    signal = np.array([True, False, True, True])
    assert [part.tolist() for part in components(signal)] == [[False, False, True, True], [True, False, False, False]]


def test_parts_of_equal_size_in_three_axes():
    volume = torch.arange(2 * 1 * 3 * 4 * 5.0).reshape(2, 1, 3, 4, 5)
    found = crops(volume, torch.tensor([1, 0]), torch.tensor([[1, 2, 0], [0, 0, 3]]), (2, 1, 2))
    assert torch.equal(found[0], volume[1, :, 1:3, 2:3, 0:2])
    assert torch.equal(found[1], volume[0, :, 0:2, 0:1, 3:5])
