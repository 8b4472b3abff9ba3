"""Transforms: the presets' numbers are the public ones, and what is drawn keeps to them."""

import pytest
import torch

from pellucid.feature_visualisation.transforms import PRESETS, Transform

TURNS = sorted([*range(-20, 20), *range(-10, 10), *range(-5, 5), *[0] * 5])


def test_lucid():
    """lucid/optvis/transform.py: jitter(8), scale 1 + (i - 5) / 50, rotate -10..10 with five more zeros, jitter(4).

    Its jitter is a random crop, which has n + 1 places.
    """
    preset = PRESETS["lucid"]
    assert preset.shifts == (8, 4)
    assert preset.scales == pytest.approx([0.9, 0.92, 0.94, 0.96, 0.98, 1, 1.02, 1.04, 1.06, 1.08, 1.1])
    assert sorted(preset.angles) == sorted([*range(-10, 11), 0, 0, 0, 0, 0])
    assert shifts(Transform((8,))) == set(range(-4, 5))


def test_lucid_atlas():
    """Its activation atlas notebook: jitters 4, 4, 8, 8, 8 and 2, scale 0.998^20..39, three ranges of angles."""
    preset = PRESETS["lucid-atlas"]
    assert preset.shifts == (4, 4, 8, 8, 8, 2)
    assert preset.scales == pytest.approx([0.998**n for n in range(20, 40)])
    assert sorted(preset.angles) == TURNS


def test_captum():
    """captum optim-wip, TransformationRobustness: ten translations by up to 4 each way and one by up to 2."""
    preset = PRESETS["captum"]
    assert preset.shifts == (8,) * 10 + (4,)
    expected = [0.995**n for n in range(-5, 80)] + [0.998**n for n in range(20, 40)] * 2
    assert preset.scales == pytest.approx(expected)
    assert sorted(preset.angles) == TURNS


def test_horama():
    """horama/common.py: six crops, sides drawn evenly from 0.25 to 0.30 at every step, centres N(0.5, 0.15), noise."""
    preset = PRESETS["horama"]
    assert preset.crops == 6
    drawn = [maps for step in (0, 99) for k in range(60) for maps in preset._draw(step, 100, 0, k, (100, 100))[0]]
    sides = torch.tensor([float(m[0, 0]) for m in drawn])
    assert 0.25 <= sides.min() < 0.26 < 0.29 < sides.max() <= 0.30
    assert float(sides.mean()) == pytest.approx(0.275, abs=0.003)
    assert float(sides[:360].mean()) == pytest.approx(float(sides[360:].mean()), abs=0.005)
    centres = torch.stack([m[:, 2] for m in drawn]) / 100
    assert centres.abs().max() <= 0.375 + 1e-6, "a crop stays inside"
    assert float(centres.std()) == pytest.approx(0.15, abs=0.02)
    grey = torch.full((1, 3, 64, 64), 0.5)
    spread = float((preset.apply(grey, 0, 1, 0, (0,)) - grey).std())
    assert spread == pytest.approx((0.01**2 + 0.01**2 / 12) ** 0.5, rel=0.02)


def test_a_box_goes_from_its_first_to_its_last_side():
    preset = Transform(box=(0.6, 0.3))
    sides = [[float(preset._draw(step, 11, 0, k, (9, 9))[0][0][0, 0]) for k in range(80)] for step in (0, 5, 10)]
    assert [sum(s) / 80 for s in sides] == pytest.approx([0.6, 0.45, 0.3], abs=0.01)


def shifts(transform):
    maps = [transform._draw(step, 400, 0, 0, (64, 64))[0][0] for step in range(400)]
    return {int(m[axis, 2]) for m in maps for axis in (0, 1)}


def test_pictures_of_a_batch_move_by_themselves():
    pictures = torch.rand(1, 3, 16, 16).expand(3, -1, -1, -1)
    moved = PRESETS["lucid"].apply(pictures, 0, 8, 0, (0, 1, 2))
    assert not torch.allclose(moved[0], moved[1], atol=1e-2)
    alone = PRESETS["lucid"].apply(pictures[:1], 0, 8, 0, (2,))
    torch.testing.assert_close(moved[2:], alone)
