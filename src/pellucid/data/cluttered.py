"""A localisation benchmark that needs no download: handwritten digits on cluttered parts of real photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.data.scenes import Scene, scenes
from pellucid.errors import BadOption
from pellucid.pictures import sample_path
from pellucid.seeds import TORCH, seed_below
from pellucid.training.data import read_examples

SIZE = 48
"""Rows and columns of a scene, in pixels."""

_SHARE = (0.35, 0.65)
_ZOOM = (0.08, 0.4)
_BRIGHT = 130


def cluttered(count: int, *, test: bool = False, seed: int = 0) -> list[Scene]:
    """Digits of random colour, size and place, on parts of photographs that are full of edges themselves.

    Digits and photographs of the test scenes are never those that one learns from: of the digits every fifth is kept
    for tests, of the photographs the last two (a cup of coffee and a flower).

    Args:
        count: scenes; digits come again when there are fewer.
        test: True if they are those to test with.
        seed: of everything that is drawn.

    Raises:
        BadOption: no scene.
    """
    if count < 1:
        raise BadOption(f"Expected at least one scene, got {count}.")
    examples = read_examples("digits")
    numbers = digits_for(len(examples), test=test)
    rng = np.random.default_rng([seed_below(TORCH, seed), test, 1])
    chosen = rng.permutation(numbers)[np.arange(count) % len(numbers)].tolist()
    things = [
        (f"digit {k}", partial(_drawn, np.asarray(examples.sources[n]), _colour(rng)), (int(examples.labels[n]),))
        for k, n in enumerate(chosen)
    ]
    photographs = [opened() for opened in (_TEST if test else _LEARN)]
    return scenes(things, photographs, size=(SIZE, SIZE), share=_SHARE, zoom=_ZOOM, seed=seed + 1000 * test)


def digits_for(count: int, *, test: bool) -> list[int]:
    """Numbers of the digits, of so many in all, that the test scenes show, or of all others."""
    return [k for k in range(count) if (k % 5 == 4) == test]


def as_arrays(made: Sequence[Scene]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures `[scene, row, column, 3]` and labels `[scene]`, to learn from."""
    return np.stack([np.asarray(scene.image) for scene in made]), np.array([scene.labels[0] for scene in made])


def _drawn(digit: NDArray[np.uint8], colour: tuple[int, int, int]) -> Image.Image:
    """Ink of one colour, as opaque as the digit is bright."""
    image = Image.new("RGBA", (digit.shape[1], digit.shape[0]), (*colour, 0))
    image.putalpha(Image.fromarray(digit))
    return image


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(_BRIGHT, 256, 3).tolist()
    return red, green, blue


def _sample(name: str) -> Image.Image:
    return Image.open(sample_path(name)).convert("RGB")


def _of_scikit_learn(name: str) -> Image.Image:
    import sklearn

    return Image.open(Path(sklearn.__file__).parent / "datasets" / "images" / name).convert("RGB")


_LEARN: tuple[Callable[[], Image.Image], ...] = (
    partial(_sample, "astronaut"),
    partial(_sample, "cat"),
    partial(_sample, "rocket"),
    partial(_of_scikit_learn, "china.jpg"),
)
_TEST: tuple[Callable[[], Image.Image], ...] = (partial(_sample, "coffee"), partial(_of_scikit_learn, "flower.jpg"))
