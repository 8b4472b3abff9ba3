"""`dream`: pictures of what a unit, a class or any objective asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from pellucid.contracts import Model
from pellucid.errors import BadOption
from pellucid.feature_visualisation.checkpoint import CheckpointFolder
from pellucid.feature_visualisation.objectives import Objective
from pellucid.feature_visualisation.recipe import RECIPES, Recipe, chosen_recipe
from pellucid.feature_visualisation.recipes import find_composite, run_composite
from pellucid.feature_visualisation.renderer import Renderer, render
from pellucid.feature_visualisation.settings import Progress, RunSettings, Watch
from pellucid.feature_visualisation.visualisation import Visualisation
from pellucid.models.wrap import wrap


def dream(
    model: Model | nn.Module,
    objective: Objective | str | None = None,
    recipe: Recipe | str = "fourier",
    *,
    count: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    start: Any = None,
    chunk: int | None = None,
    snapshot: int | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    keep: str | Path | CheckpointFolder | None = None,
    **changes: Any,
) -> Visualisation:
    """Make pictures that bring an objective about.

    Args:
        model: network from `pellucid.load` or `pellucid.wrap`, or a module, whose pictures are then RGB from 0 to 1 and
            of `size`; afterwards exactly as it was.
        objective: expression that is always made large, as text or made of `pellucid.feature_visualisation.objectives`.
        recipe: `fourier`, `maco`, `simonyan`, or a `Recipe`; single choices can be changed by name: `steps=512`.
            Or a composed recipe of `pellucid.feature_visualisation.recipes`, which makes the objective itself:
            `deep-dream`, ...
        count: number of pictures; units given as a tuple have one for each.
        size: rows and columns in pixels, or one number for both; None takes the model's.
        seed: integer that starts all random draws; picture k is the same whatever `count` and `chunk` are.
        start: photograph to start from; or tensor `[1, channel, row, column]` of the size that is drawn, 0 to 1.
        chunk: number of pictures that are optimised together; None is as many as memory allows and make it faster.
            Objectives that compare pictures need all of them in one chunk, and have it then.
        snapshot: number of steps after which the pictures are kept, again and again; None keeps none.
        progress: function that is called with what is going on, steps done and steps in all.
        watch: function that is called after each step with its number, the objective of each picture, and a way to see
            the pictures.
        keep: folder where the state is kept; after an interrupt the same call goes on from there, to the same
            pictures as without one. It is the caller's to remove, by `CheckpointFolder.forget` or by hand.
        **changes: fields of the recipe; for composed ones also what they wish for (`layer`, `units`) and their options.

    Raises:
        BadOption: choices that cannot be, or an objective that does not fit the model.
        BadSite: a layer that the model does not have, or that gives something else than the objective needs.

    Note:
        What comes out is what the network responds to, not what it responds to in photographs: a unit can be brought to
        any value by patterns that no photograph has.
    """
    model = wrap(model)
    if model.preprocess is None and size is not None:
        model = wrap(model, size=size, resize=None)
    run = RunSettings(size, seed, chunk, snapshot, progress, watch, keep)
    if isinstance(recipe, str) and recipe not in RECIPES:
        find_composite(recipe)
        if objective is not None or count != 1:
            raise BadOption(
                f"The recipe {recipe!r} makes its objective and counts its pictures itself. Leave both out."
            )
        return run_composite(recipe, Renderer(model, run), start, changes)
    if objective is None:
        raise BadOption("Expected an objective such as 'logit(\"goose\")', got none.")
    return render(model, objective, chosen_recipe(recipe, changes), run, count=count, start=start)
