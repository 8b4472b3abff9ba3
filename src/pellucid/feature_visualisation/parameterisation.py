"""The image that a recipe asks for: which numbers stand for the pictures, and what they begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor

from pellucid.contracts import Preprocess
from pellucid.errors import BadOption
from pellucid.feature_visualisation.images import IMAGES, Coloured, Image, Plain, Shared
from pellucid.feature_visualisation.photograph import photograph
from pellucid.feature_visualisation.recipe import Recipe
from pellucid.feature_visualisation.spectrum import read_spectrum
from pellucid.feature_visualisation.transparency import Transparent

_COMMON = 999_983
"""Number of the picture whose noise the common part of shared pictures starts with; no batch is as large."""
_OPACITY = 500_009
"""What is added to the number of a picture for the noise that its opacity starts with, which is not that of colours."""


def image_of(
    recipe: Recipe, preprocess: Preprocess, size: tuple[int, int], numbers: Sequence[int], seed: int, start: Any
) -> Image:
    """The image that a recipe asks for.

    Args:
        recipe: the choices.
        preprocess: how pictures of this size become the network's input.
        size: rows and columns in pixels.
        numbers: numbers of the pictures of this batch, for their own draws.
        seed: integer that starts all random draws.
        start: photograph to start from, or tensor `[1, channel, row, column]`, 0 to 1; None is noise.

    Raises:
        BadOption: what the image cannot be, or a start that does not fit it.
    """
    channels = len(preprocess.mean)
    if recipe.alpha and recipe.image in ("maco", "plain"):
        raise BadOption(f"Images that can have alpha are fourier, laplacian, pattern and pixels, not {recipe.image}.")
    if recipe.image == "plain":
        if start is not None:
            raise BadOption("A plain image starts from zero; start from a photograph with image fourier or pixels.")
        if recipe.shared:
            raise BadOption("Images that can be shared are fourier, laplacian and pixels, not plain.")
        return Plain(size, preprocess.mean, preprocess.std, len(numbers))
    options: dict[str, Any] = {"seed": seed, "numbers": numbers}
    if start is not None:
        if recipe.image not in ("fourier", "pixels"):
            raise BadOption(f"A {recipe.image} image cannot start from a photograph; fourier and pixels can.")
        options["start"] = _start(start, preprocess, (channels, *size))
    if recipe.spectrum:
        options["magnitude"] = read_spectrum(recipe.spectrum)[0]
    own = IMAGES[recipe.image](size, channels, **options)
    if recipe.shared:
        if not isinstance(own, Coloured) or recipe.image == "maco":
            raise BadOption(f"Images that can be shared are fourier, laplacian and pixels, not {recipe.image}.")
        common = IMAGES[recipe.image](size, channels, seed=seed, numbers=[_COMMON])
        own = Shared(own, cast(Coloured, common))
    if not recipe.alpha:
        return own
    return Transparent(own, IMAGES[recipe.image](size, 1, seed=seed, numbers=[_OPACITY + k for k in numbers]))


def _start(start: Any, preprocess: Preprocess, shape: tuple[int, int, int]) -> Tensor:
    """A picture to start from, `[1, channel, row, column]`, 0 to 1."""
    if not isinstance(start, Tensor):
        return photograph(start, preprocess)
    found = start if start.dim() == 4 else start[None]
    if tuple(found.shape) != (1, *shape):
        words = " x ".join(map(str, shape))
        raise BadOption(f"A tensor to start from has the shape that is drawn, {words}; got {list(start.shape)}.")
    return found
