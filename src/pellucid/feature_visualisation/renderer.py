"""Drawing: an objective, a recipe and settings become pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.differentiable import at_once
from pellucid.contracts import Model, Preprocess
from pellucid.errors import BadOption
from pellucid.feature_visualisation.checkpoint import checkpoint_folder, kept_in
from pellucid.feature_visualisation.joining import joined
from pellucid.feature_visualisation.layer_activations import layer_maps, takes
from pellucid.feature_visualisation.objectives import Alpha, BlurAlpha, Objective, of_pictures, parse
from pellucid.feature_visualisation.optimise import OptimisationResult, optimise
from pellucid.feature_visualisation.parameterisation import image_of
from pellucid.feature_visualisation.photograph import photograph, sized_for
from pellucid.feature_visualisation.recipe import Recipe, chosen_recipe
from pellucid.feature_visualisation.settings import RunSettings
from pellucid.feature_visualisation.transforms import Transform, find_transform
from pellucid.feature_visualisation.transparency import LaidOver
from pellucid.feature_visualisation.visualisation import Visualisation
from pellucid.models.preprocessing import preprocessing_of

_OPAQUE = (
    "The objective is below 0, where its product with 1 - alpha() rewards opacity: say what opacity costs, as in "
    "'... - 5 * alpha()'."
)


def render(
    model: Model, objective: Objective | str, recipe: Recipe, run: RunSettings, *, count: int = 1, start: Any = None
) -> Visualisation:
    """Draw pictures that bring an objective about, batch by batch.

    Args:
        model: network that is asked; afterwards exactly as it was.
        objective: expression that is made large, or its text.
        recipe: the choices.
        run: settings of the run.
        count: number of pictures.
        start: photograph to start from, or tensor `[1, channel, row, column]`, 0 to 1; None is noise.

    Raises:
        BadOption: choices that cannot be, or an objective that does not fit the model.
        BadSite: a layer that the model does not have, or that gives something else than the objective needs.
    """
    wanted, priced = _priced(objective, recipe)
    preprocess, sides = sized_for(preprocessing_of(model), run.size)
    transform = find_transform(recipe.transform)
    chunk = run.chunk
    if chunk is None:
        shape = (len(preprocess.mean), *sides)
        chunk = count if recipe.shared else _chunk(model, wanted, count, shape, transform)
    if recipe.shared and count > chunk:
        raise BadOption(f"Shared pictures are drawn together, all {count} of them. Leave chunk out.")
    _check(wanted, count, chunk, transform)
    store = checkpoint_folder(run.keep).store(
        model, recipe=asdict(recipe), seed=run.seed, snapshot=run.snapshot, fed=preprocess
    )
    parts: list[OptimisationResult] = []
    for first in range(0, count, chunk):
        some = range(count)[first : first + chunk]
        image = image_of(recipe, preprocess, sides, some, run.seed, start)
        own = of_pictures(wanted, some, count)
        parts.append(
            optimise(
                model,
                image,
                own,
                preprocess=preprocess,
                steps=recipe.steps,
                rate=recipe.rate,
                optimiser=recipe.optimiser,
                transform=LaidOver(transform) if recipe.alpha else transform,
                numbers=some,
                run=replace(run, progress=run.part(first // chunk, -(-count // chunk))),
                kept=kept_in(store, image, own, some),
            )
        )
        if parts[-1].stopped:
            break
    made = joined(model, wanted, recipe, run.seed, sides, parts)
    return replace(made, notes=(*made.notes, _OPAQUE)) if priced and bool((made.final < 0).any()) else made


def _priced(objective: Objective | str, recipe: Recipe) -> tuple[Objective, bool]:
    """The objective with what the recipe subtracts from it, and whether opacity was given a price here."""
    wanted = parse(objective) if isinstance(objective, str) else objective
    if recipe.penalty:
        wanted = wanted - parse(recipe.penalty)
    if not recipe.alpha or any(isinstance(part, Alpha | BlurAlpha) for part in wanted.walk()):
        return wanted, False
    return wanted * (1 - Alpha()) - 0.1 * BlurAlpha(), True  # lucid's weights


@dataclass(frozen=True)
class Renderer:
    """`dream` with everything settled but the objective: what composed recipes draw with.

    Attributes:
        model: network that is asked.
        run: settings of every picture that is drawn.
        changes: fields of `Recipe` that the caller has chosen; they win over those that a recipe asks for.
    """

    model: Model
    run: RunSettings = field(default_factory=RunSettings)
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self,
        objective: Objective | str,
        *,
        count: int = 1,
        titles: Sequence[str] = (),
        start: Any = None,
        **own: Any,
    ) -> Visualisation:
        """Draw; the fields of `Recipe` in `own` are what is taken where the caller has not chosen."""
        recipe = chosen_recipe("fourier", {**own, **self.changes})
        made = render(self.model, objective, recipe, self.run, count=count, start=start)
        return replace(made, titles=tuple(titles)[: len(made.pictures)])

    def at(self, size: int | tuple[int, int] | None) -> Renderer:
        """The same for another size; None leaves it as it is."""
        return self if size is None else replace(self, run=replace(self.run, size=size))

    def fed(self) -> tuple[Preprocess, tuple[int, int]]:
        """How pictures of the size that is drawn become the network's input; and rows and columns of that size."""
        return sized_for(preprocessing_of(self.model), self.run.size)

    def seen(self, picture: Any) -> Tensor:
        """What is seen of a photograph at the size that is drawn: `[1, channel, row, column]`, 0 to 1."""
        return photograph(picture, self.fed()[0])

    def whole(self, picture: Any) -> Tensor:
        """A whole photograph in its own shape, shorter side as drawn: `[1, channel, row, column]`, 0 to 1."""
        preprocess, sides = self.fed()
        return photograph(picture, replace(preprocess, size=None, resize=min(sides)))

    def small(self, side: int) -> int | None:
        """A smaller size for icons, where the network takes one; None: the model's own."""
        own = preprocessing_of(self.model).size
        if own is None or side >= min(own):
            return side if own is None else None
        preprocess, _ = sized_for(preprocessing_of(self.model), side)
        return side if takes(self.model, len(preprocess.mean), (side, side)) else None

    def shape(self, layer: str) -> tuple[int, ...]:
        """What a layer gives for one picture of the size that is drawn: `[1, channel, row, column]`."""
        preprocess, sides = self.fed()
        return tuple(self.maps(layer, torch.full((1, len(preprocess.mean), *sides), 0.5)).shape)

    def maps(self, layer: str, pictures: Tensor) -> Tensor:
        """What a layer gives for pictures from 0 to 1, `[batch, channel, row, column]`."""
        return layer_maps(self.model, layer, pictures, preprocessing_of(self.model))


def _chunk(model: Model, wanted: Objective, count: int, shape: tuple[int, ...], transform: Transform) -> int:
    """Pictures to be optimised together."""
    if count <= 1 or any(part.together for part in wanted.walk()):
        return max(1, count)
    return at_once(model, torch.zeros(1, *shape, device=model.device), transform.crops)


def _check(wanted: Objective, count: int, chunk: int, transform: Transform) -> None:
    if count < 1 or chunk < 1:
        raise BadOption(f"Expected at least one picture, and one at a time; got {count} and {chunk}.")
    together = [part for part in wanted.walk() if part.together]
    if together and count > chunk:
        raise BadOption(f"{together[0]} compares all {count} pictures, so they need one chunk. Set chunk to {count}.")
    if together and transform.crops > 1:
        raise BadOption(
            f"{together[0]} compares pictures, but each is looked at in {transform.crops} views. Set the transform to "
            "lucid."
        )
