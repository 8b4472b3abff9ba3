"""The batches of one call as one result, and what its reader must know."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pellucid.contracts import Model
from pellucid.feature_visualisation.objectives import ClassProbability, Constant, Objective
from pellucid.feature_visualisation.optimise import OptimisationResult
from pellucid.feature_visualisation.recipe import Recipe
from pellucid.feature_visualisation.visualisation import Visualisation, together


def joined(
    model: Model, wanted: Objective, recipe: Recipe, seed: int, size: tuple[int, int], parts: list[OptimisationResult]
) -> Visualisation:
    """One result of all batches, with the steps that every one of them has reached."""
    steps = min(len(part.objective) for part in parts)
    pictures, final = (torch.cat([getattr(part, name) for part in parts]) for name in ("pictures", "final"))
    named = zip(_names(wanted), *[part.terms for part in parts], strict=True)  # a unit is named by picture in a batch
    return Visualisation(
        model=model,
        objective=str(wanted),
        recipe=recipe,
        seed=seed,
        size=size,
        pictures=pictures[:, :-1] if recipe.alpha else pictures,
        objectives=torch.cat([part.objective[:steps] for part in parts], 1),
        final=final,
        terms={
            name: torch.cat([part.terms.get(own, part.final) for part, own in zip(parts, names, strict=True)])
            for name, *names in named
        },
        attention=torch.cat([part.attention for part in parts]),
        rescued=sum(part.rescued for part in parts),
        stopped=any(part.stopped for part in parts),
        seconds=sum(part.seconds for part in parts),
        alpha=pictures[:, -1] if recipe.alpha else None,
        notes=tuple(_notes(wanted, recipe, steps, parts)),
        snapshots=together([part.snapshots for part in parts]),
    )


def _notes(wanted: Objective, recipe: Recipe, steps: int, parts: list[OptimisationResult]) -> Iterator[str]:
    if any(part.stopped for part in parts):
        yield f"Interrupted after {steps} of {recipe.steps} steps."
    taken_up = sum(part.taken_up * len(part.pictures) for part in parts)
    if taken_up:
        yield f"Taken up where an earlier call was interrupted: {taken_up} steps of single pictures were done."
    if recipe.alpha:
        yield "Where they are transparent, pictures are judged over plain grey."
    yield from _without_effect(parts)
    rescued = sum(part.rescued for part in parts)
    if rescued:
        yield f"In the first steps {rescued} gradients were led around dead rectifiers."
    if isinstance(wanted, ClassProbability):
        yield "A probability is made large by making all other classes unlikely; the logit is the better objective."


def _without_effect(parts: list[OptimisationResult]) -> Iterator[str]:
    """What has to be said of pictures that nothing could be climbed for."""
    final = torch.cat([part.final for part in parts])
    still = torch.cat([_is_still(part) for part in parts]) & final.isfinite()
    if not bool(final.isfinite().all()):
        yield (
            f"{_pictures(~final.isfinite())}: the objective is not a finite number, so what was drawn means nothing. "
            "Weights that are not numbers, or an input of another scale than the network's, do that."
        )
    if bool(still.any()):
        yield (
            f"{_pictures(still)}: no change of the picture changed the objective, as of a unit that is dead. What was "
            "drawn is what the picture began with and what the transforms and penalties made of it."
        )


def _is_still(part: OptimisationResult) -> Tensor:
    """Of which pictures the objective had no slope in any step, or one value in all and at the end, `[picture]`."""
    flat = part.attention.flatten(1).sum(1) == 0
    if len(part.objective) < 2:
        return flat & bool(len(part.objective))
    return flat | (torch.cat([part.objective, part.final[None]]) == part.objective[:1]).all(0)


def _pictures(which: Tensor) -> str:
    numbers = which.nonzero()[:, 0].tolist()
    return f"{'Picture' if len(numbers) == 1 else 'Pictures'} {', '.join(map(str, numbers))}"


def _names(wanted: Objective) -> list[str]:
    leaves = (part for part in wanted.walk() if not part.parts and not isinstance(part, Constant))
    return list(dict.fromkeys(map(str, leaves)))
