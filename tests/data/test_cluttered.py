"""Digits on photographs: their truth, and what is kept for tests."""

import numpy as np
import pytest

from pellucid.data.cluttered import SIZE, as_arrays, cluttered, digits_for
from pellucid.errors import BadOption


def test_scenes_show_a_digit_where_they_say():
    scenes = cluttered(6)
    pictures, labels = as_arrays(scenes)
    assert pictures.shape == (6, SIZE, SIZE, 3)
    assert set(labels.tolist()) <= set(range(10))
    for scene in scenes:
        left, top, right, bottom = scene.box
        assert 0 <= left < right <= SIZE
        assert 0 <= top < bottom <= SIZE
        pixels = np.asarray(scene.image).astype(float)
        assert pixels[scene.mask].min() >= 60  # ink is bright in every channel, and half opaque at least


def test_the_first_scenes_do_not_depend_on_how_many_there_are():
    few, many = as_arrays(cluttered(3, seed=2)), as_arrays(cluttered(5, seed=2))
    for one, other in zip(few, many, strict=True):
        np.testing.assert_array_equal(one, other[:3])
    assert not np.array_equal(few[0], as_arrays(cluttered(3, seed=3))[0])
    assert not np.array_equal(few[0], as_arrays(cluttered(3, seed=2, test=True))[0])


def test_digits_of_the_tests_are_never_learned_from():
    learn, test = (set(digits_for(5000, test=which)) for which in (False, True))
    assert not learn & test
    assert learn | test == set(range(5000))
    assert len(test) == 1000


def test_no_scene_is_refused():
    with pytest.raises(BadOption, match="at least one scene"):
        cluttered(0)
