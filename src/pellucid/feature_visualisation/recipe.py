"""Recipes: the four independent choices that a visualisation is made of, and those that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pellucid.errors import BadOption, unknown
from pellucid.feature_visualisation.images import IMAGES


@dataclass(frozen=True)
class Recipe:
    """Four independent choices, and their numbers.

    Attributes:
        image: one of `IMAGES`, or `plain`.
        transform: a preset's name.
        optimiser: `adam`, `nadam` or `sgd`.
        rate: of the optimiser.
        steps: how many.
        penalty: what is subtracted from every objective, as text; "" is nothing.
        spectrum: a file from `pellucid spectrum build` for the image `maco`; "" is 1 / frequency.
        shared: the pictures have a part in common, so that what they have in common is at the same place in all.
        alpha: the pictures have an opacity, and lie over other noise in each step. Unless the objective says what
            opacity costs, by `alpha()` or `blur_alpha()`, it becomes `objective * (1 - alpha()) - 0.1 * blur_alpha()`.
    """

    image: str = "fourier"
    transform: str = "lucid"
    optimiser: str = "adam"
    rate: float = 0.05
    steps: int = 256
    penalty: str = ""
    spectrum: str = ""
    shared: bool = False
    alpha: bool = False


RECIPES = {
    "fourier": Recipe(),
    "maco": Recipe("maco", "maco", "nadam", 1.0),
    # The paper moves nothing; without it, networks with strides answer to noise. "none" is the paper's.
    "simonyan": Recipe("plain", "lucid", "adam", 0.05, 200, "0.01 * energy()"),
}


def chosen_recipe(recipe: Recipe | str, changes: Mapping[str, Any]) -> Recipe:
    """A recipe by its name or as it is, with single choices changed.

    Raises:
        BadOption: choices that do not exist, or that do not go together.
        UnknownName: an image that does not exist.
    """
    if isinstance(recipe, str):
        recipe = RECIPES[recipe]
    try:
        recipe = replace(recipe, **changes)
    except TypeError as error:
        raise BadOption(f"dream has no choice {', '.join(changes)}: {error}.") from error
    if recipe.spectrum and recipe.image != "maco":
        raise BadOption(f"A spectrum belongs to the image maco, not to {recipe.image}. Leave one of them out.")
    if recipe.image not in (*IMAGES, "plain"):
        raise unknown("image", recipe.image, [*IMAGES, "plain"])
    return recipe
