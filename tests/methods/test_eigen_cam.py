"""Eigen-CAM, Muhammad & Yeasin, arXiv:2008.00299, and its form on gradient times activation."""

import numpy as np
import pytest
import torch
from nets import close, numbers, random_maps, worked_case

from pellucid.methods.eigen_cam import eigen_cam
from pellucid.methods.eigen_grad_cam import eigen_grad_cam


def naive(maps, reference, centre):
    """Full singular value decomposition, one picture at a time."""
    out = []
    for one, wanted in zip(maps, reference, strict=True):
        places = one.reshape(len(one), -1).T
        if centre:
            places = places - places.mean(0)
        projected = (places @ np.linalg.svd(places)[2][0]).reshape(one.shape[1:])
        out.append(projected * np.sign((projected * wanted).sum()))
    return np.stack(out)


@pytest.mark.parametrize("shape", [(2, 7, 2, 3), (2, 3, 5, 4)], ids=["more channels", "more places"])
@pytest.mark.parametrize("centre", [True, False])
def test_singular_value_decomposition(shape, centre):
    activation, gradient = random_maps(1, shape), random_maps(2, shape)
    a, g = numbers(activation), numbers(gradient)
    evidence = (a * g).sum(1)
    expected = naive(a, evidence if centre else np.ones_like(evidence), centre)
    close(eigen_cam(activation, gradient, centre=centre, rectify=False), expected)
    close(eigen_cam(activation, gradient, centre=centre), np.maximum(expected, 0))
    close(eigen_grad_cam(activation, gradient, centre=centre, rectify=False), naive(a * g, evidence, centre))


def test_by_hand():
    # two channels of one row: (0, 2, 4) and (0, 0, 0) less their means give (-2, 0, 2) along the first channel
    activation = torch.tensor([[[[0.0, 2.0, 4.0]], [[0.0, 0.0, 0.0]]]], dtype=torch.float64)
    close(eigen_cam(activation, torch.ones_like(activation)), np.array([[[0.0, 0.0, 2.0]]]))
    close(eigen_cam(activation, -torch.ones_like(activation)), np.array([[[2.0, 0.0, 0.0]]]))


@pytest.mark.parametrize("method", [eigen_cam, eigen_grad_cam])
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("strength", [1, 0], ids=["some evidence", "no evidence"])
def test_the_sign_is_not_the_library_s(method, centre, strength, monkeypatch):
    activation, gradient = random_maps(3), strength * random_maps(4)
    before = method(activation, gradient, centre=centre, rectify=False)
    solve = torch.linalg.eigh

    def flipped(matrix):
        values, vectors = solve(matrix)
        return torch.return_types.linalg_eigh((values, -vectors))

    monkeypatch.setattr(torch.linalg, "eigh", flipped)
    assert torch.equal(method(activation, gradient, centre=centre, rectify=False), before)


def test_of_a_network():
    case = worked_case("relu")
    a = case.activation
    close(case.explain("eigen-cam", rectify=False).raw, naive(a, (a * case.gradient).sum(1), centre=True))
