"""Composites: the truth is where the thing was put, and nothing else depends on it."""

import numpy as np
import pytest
from PIL import Image

from pellucid.contracts import Classes
from pellucid.data.scenes import part_of, pasted, scenes
from pellucid.data.stamps import stamps
from pellucid.errors import BadOption, MissingExtra


def ring(size=(40, 30)):
    pixels = np.zeros((size[1], size[0], 4), np.uint8)
    pixels[5:25, 10:30] = (255, 0, 0, 255)
    pixels[10:20, 15:25, 3] = 0
    return Image.fromarray(pixels)


def test_the_mask_is_exactly_where_the_picture_changed():
    background = Image.new("RGB", (100, 80), (0, 0, 200))
    image, mask = pasted(ring(), background, 20 / 80, np.random.default_rng(3))
    changed = (np.asarray(image) != np.asarray(background)).any(2)
    np.testing.assert_array_equal(mask, changed)
    assert mask.sum() == 20 * 20 - 10 * 10
    assert background.getpixel((0, 0)) == (0, 0, 200)


def test_scenes_do_not_depend_on_their_number():
    photographs = [Image.fromarray(np.random.default_rng(k).integers(0, 255, (90, 120, 3), np.uint8)) for k in range(3)]
    things = [(f"ring {k}", ring, (k,)) for k in range(4)]
    how = {"size": (64, 48), "share": (0.4, 0.9), "zoom": (0.5, 1.0), "seed": 5}
    every, few = scenes(things, photographs, **how), scenes(things[:2], photographs, **how)
    for one, other in zip(few, every, strict=False):
        assert np.array_equal(np.asarray(one.image), np.asarray(other.image))
        assert one.box == other.box
    for scene in every:
        left, top, right, bottom = scene.box
        assert scene.image.size == (64, 48)
        assert 0 <= left < right <= 64
        assert 0 <= top < bottom <= 48
        assert 0.3 * 48 < max(right - left, bottom - top) <= 0.95 * 48
    assert len({scene.box for scene in every}) == 4


def test_a_part_of_a_photograph_has_the_size_asked_for():
    photograph = Image.fromarray(
        np.arange(100 * 50, dtype=np.uint32).view(np.uint8).reshape(50, 100, 4)[:, :, :3].copy()
    )
    assert part_of(photograph, (30, 30), np.random.default_rng(0), zoom=0.5).size == (30, 30)


def test_nothing_opaque_is_refused():
    with pytest.raises(BadOption, match="no opaque pixel"):
        pasted(Image.new("RGBA", (9, 9)), Image.new("RGB", (20, 20)), 0.5, np.random.default_rng(0))


def test_missing_packages_are_named(tmp_path):
    with pytest.raises(MissingExtra, match="tuxpaint-stamps-default"):
        stamps(tmp_path, Classes(("cat",)))
