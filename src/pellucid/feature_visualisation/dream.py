"""`dream`: pictures of what a unit, a class or any objective asks for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import PIL.Image
import torch
from torch import Tensor, nn

from pellucid.capture.differentiable import at_once
from pellucid.contracts import Model, Preprocess
from pellucid.errors import BadOption, unknown
from pellucid.feature_visualisation.catalogue import Alpha, BlurAlpha
from pellucid.feature_visualisation.images import IMAGES, Coloured, Image, Plain, Shared
from pellucid.feature_visualisation.keeping import Keeping, keeping, kept_in
from pellucid.feature_visualisation.looking import layer_maps, takes
from pellucid.feature_visualisation.objectives import Objective, one_each, parse, rebuilt
from pellucid.feature_visualisation.optimise import OptimisationResult, Progress, Watch, optimise, photograph, sized
from pellucid.feature_visualisation.spectrum import read_spectrum
from pellucid.feature_visualisation.transforms import Transform, find_transform
from pellucid.feature_visualisation.transparency import LaidOver, Transparent, over_grey
from pellucid.inspection.inputs import device_of
from pellucid.models import wrap
from pellucid.models.preprocessing import preprocessing_of

if TYPE_CHECKING:
    from pellucid.feature_visualisation.trust import VisualisationTrust


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


_COMMON = 999_983
"""Number of the picture whose noise the common part of shared pictures starts with; no batch is as large."""
_OPACITY = 500_009
"""What is added to the number of a picture for the noise that its opacity starts with, which is not that of colours."""
RECIPES = {
    "fourier": Recipe(),
    "maco": Recipe("maco", "maco", "nadam", 1.0),
    # The paper moves nothing; without it, networks with strides answer to noise. "none" is the paper's.
    "simonyan": Recipe("plain", "lucid", "adam", 0.05, 200, "0.01 * energy()"),
}


@dataclass
class Visualisation:
    """Pictures and how they came about.

    Attributes:
        model: that dreamed.
        objective: what was made large, as text.
        recipe: the choices.
        seed: of the first picture and the transforms.
        size: rows and columns.
        pictures: `[picture, channel, row, column]`, 0 to 1.
        alpha: how opaque they are, `[picture, row, column]`, 0 to 1; None where they have no alpha.
        objectives: at each step, of the transformed pictures, `[step, picture]`.
        final: of the untransformed pictures, `[picture]`; over plain grey where they have alpha.
        terms: each part of the objective at the end, `[picture]`.
        attention: where the gradient went, `[picture, row, column]`, summed over steps.
        rescued: gradients that were led around dead rectifiers in the first steps.
        stopped: whether it was interrupted.
        seconds: in all.
        notes: what the reader must know.
        snapshots: pictures on the way, with the step after which they were taken; opacity is behind the channels.
        titles: of the pictures, or "".
        columns: of the sheet that shows them; None lets it choose.
        mosaic: whether the pictures are parts of one, put together without gaps.
        beside: further images that belong to these, with titles.
        trust: how each picture stands beside photographs, where it was compared; see `trust.py`.
        made_by: the composed recipe, where there was one.
        options: of that recipe.
    """

    model: Model
    objective: str
    recipe: Recipe
    seed: int
    size: tuple[int, int]
    pictures: Tensor
    objectives: Tensor
    final: Tensor
    terms: dict[str, Tensor]
    attention: Tensor
    rescued: int
    stopped: bool
    seconds: float
    alpha: Tensor | None = None
    notes: list[str] = field(default_factory=list)
    snapshots: list[tuple[int, Tensor]] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    columns: int | None = None
    mosaic: bool = False
    beside: list[tuple[PIL.Image.Image, str]] = field(default_factory=list)
    trust: list[VisualisationTrust] = field(default_factory=list)
    made_by: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def judged(self) -> Tensor:
        """The pictures as the network is asked about them: over plain grey where they have alpha."""
        if self.alpha is None:
            return self.pictures
        return over_grey(torch.cat([self.pictures, self.alpha[:, None]], 1), self.pictures.shape[1])[0]

    @property
    def slope(self) -> list[float]:
        """Slope of each picture's power spectrum in log-log; photographs have about -2."""
        return [spectrum_slope(picture) for picture in self.judged]


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
    keep: str | Path | Keeping | None = None,
    **changes: Any,
) -> Visualisation:
    """Make pictures that bring an objective about.

    Args:
        model: from `pellucid.load` or `pellucid.wrap`, or a module, whose pictures are then RGB from 0 to 1 and of
            `size`; afterwards exactly as it was.
        objective: an expression, as text or made of `pellucid.feature_visualisation.catalogue`. It is always made
            large.
        recipe: `fourier`, `maco`, `simonyan`, or a `Recipe`; single choices can be changed by name: `steps=512`.
            Or a composed recipe of `pellucid.feature_visualisation.recipes`, which makes the objective itself:
            `deep-dream`, ...
        count: number of pictures; units given as a tuple have one for each.
        size: rows and columns; None takes the model's.
        seed: of the first pictures and the transforms; picture k is the same whatever `count` and `chunk` are.
        start: a photograph to start from; or `[1, channel, row, column]` of the size that is drawn, 0 to 1.
        chunk: pictures that are optimised together; None is as many as memory allows and make it faster. Objectives
            that compare pictures need all of them in one chunk, and have it then.
        snapshot: keep the pictures every so many steps.
        progress: called with what is going on, steps done and steps in all.
        watch: called after each step with its number, the objective of each picture, and a way to see the pictures.
        keep: a folder where the state is kept; after an interrupt the same call goes on from there, to the same
            pictures as without one. It is the caller's to remove, by `Keeping.forget` or by hand.
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
    if isinstance(recipe, str) and recipe not in RECIPES:
        from pellucid.feature_visualisation.recipes import find_composite, run_composite

        find_composite(recipe)
        if objective is not None or count != 1:
            raise BadOption(
                f"The recipe {recipe!r} makes its objective and counts its pictures itself. Leave both out."
            )
        return run_composite(
            recipe, Renderer(model, size, seed, chunk, snapshot, progress, watch, keep), start, changes
        )
    if objective is None:
        raise BadOption("Expected an objective such as 'logit(\"goose\")', got none.")
    recipe = _recipe(recipe, changes)
    wanted = parse(objective) if isinstance(objective, str) else objective
    if recipe.penalty:
        wanted = wanted - parse(recipe.penalty)
    priced = recipe.alpha and not any(isinstance(part, Alpha | BlurAlpha) for part in wanted.walk())
    if priced:
        wanted = wanted * (1 - Alpha()) - 0.1 * BlurAlpha()  # lucid's weights
    preprocess, sides = _sized(preprocessing_of(model), size)
    transform = find_transform(recipe.transform)
    if chunk is None:
        shape = (len(preprocess.mean), *sides)
        chunk = count if recipe.shared else _chunk(model, wanted, count, shape, transform)
    if recipe.shared and count > chunk:
        raise BadOption(f"Shared pictures are drawn together, all {count} of them. Leave chunk out.")
    _check(wanted, count, chunk, transform)
    store = keeping(keep).store(model, recipe=asdict(recipe), seed=seed, snapshot=snapshot, fed=preprocess)
    parts, numbers = [], list(range(count))
    for first in range(0, count, chunk):
        some = numbers[first : first + chunk]
        image, own = _image(recipe, preprocess, sides, some, seed, start), of_pictures(wanted, some, count)
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
                seed=seed,
                numbers=some,
                snapshot=snapshot,
                progress=_counting(progress, first // chunk, -(-count // chunk)),
                watch=watch,
                kept=kept_in(store, image, own, some),
            )
        )
        if parts[-1].stopped:
            break
    made = _joined(model, wanted, recipe, seed, sides, parts)
    if priced and bool((made.final < 0).any()):
        made.notes.append(
            "The objective is below 0, where its product with 1 - alpha() rewards opacity: say what opacity costs, as "
            "in '... - 5 * alpha()'."
        )
    return made


@dataclass(frozen=True)
class Renderer:
    """`dream` with everything settled but the objective: what composed recipes draw with.

    Attributes:
        model, size, seed, chunk, snapshot, progress, watch, keep: as of `dream`.
        changes: fields of `Recipe` that the caller has chosen; they win over those that a recipe asks for.
    """

    model: Model
    size: int | tuple[int, int] | None = None
    seed: int = 0
    chunk: int | None = None
    snapshot: int | None = None
    progress: Progress | None = None
    watch: Watch | None = None
    keep: str | Path | Keeping | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self,
        objective: Objective | str,
        *,
        count: int = 1,
        titles: Sequence[str] = (),
        size: int | tuple[int, int] | None = None,
        start: Any = None,
        **own: Any,
    ) -> Visualisation:
        """Dream; `size` and the fields of `Recipe` in `own` are what is taken where the caller has not chosen."""
        made = dream(
            self.model,
            objective,
            count=count,
            size=self.size or size,
            seed=self.seed,
            start=start,
            chunk=self.chunk,
            snapshot=self.snapshot,
            progress=self.progress,
            watch=self.watch,
            keep=self.keep,
            **{**own, **self.changes},
        )
        made.titles = list(titles)[: len(made.pictures)]
        return made

    def fed(self) -> tuple[Preprocess, tuple[int, int]]:
        """How pictures of the size that is drawn become the network's input; and rows and columns of that size."""
        return _sized(preprocessing_of(self.model), self.size)

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
        preprocess, _ = _sized(preprocessing_of(self.model), side)
        return side if takes(self.model, len(preprocess.mean), (side, side)) else None

    def shape(self, layer: str) -> tuple[int, ...]:
        """What a layer gives for one picture of the size that is drawn: `[1, channel, row, column]`."""
        preprocess, sides = self.fed()
        return tuple(self.maps(layer, torch.full((1, len(preprocess.mean), *sides), 0.5)).shape)

    def maps(self, layer: str, pictures: Tensor) -> Tensor:
        """What a layer gives for pictures from 0 to 1, `[batch, channel, row, column]`."""
        return layer_maps(self.model, layer, pictures, preprocessing_of(self.model))


def gathered(dreams: Iterable[Visualisation]) -> Visualisation:
    """Several dreams of one size as one; none is begun after one that was interrupted."""
    parts: list[Visualisation] = []
    for part in dreams:
        parts.append(part)
        if part.stopped:
            break
    steps = min(len(part.objectives) for part in parts)
    return replace(
        parts[0],
        objective="; ".join(dict.fromkeys(part.objective for part in parts)),
        pictures=torch.cat([part.pictures for part in parts]),
        objectives=torch.cat([part.objectives[:steps] for part in parts], 1),
        final=torch.cat([part.final for part in parts]),
        terms={},
        alpha=None if parts[0].alpha is None else torch.cat([part.alpha for part in parts if part.alpha is not None]),
        attention=torch.cat([part.attention for part in parts]),
        rescued=sum(part.rescued for part in parts),
        stopped=any(part.stopped for part in parts),
        seconds=sum(part.seconds for part in parts),
        notes=list(dict.fromkeys(note for part in parts for note in part.notes)),
        titles=[title for part in parts for title in part.titles],
        snapshots=_together([part.snapshots for part in parts]),
    )


def _recipe(recipe: Recipe | str, changes: dict[str, Any]) -> Recipe:
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


def _sized(preprocess: Preprocess, size: int | tuple[int, int] | None) -> tuple[Preprocess, tuple[int, int]]:
    size = preprocess.size if size is None else size
    if size is None:
        raise BadOption("The model takes pictures of any shape. Say which one to draw: size=224.")
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 8:
        raise BadOption(f"Expected a size of 8 pixels at least, got {size}.")
    return sized(preprocess, sides), (sides[0], sides[1])


def _chunk(model: Model, wanted: Objective, count: int, shape: tuple[int, ...], transform: Transform) -> int:
    """Pictures to be optimised together."""
    if count <= 1 or any(part.together for part in wanted.walk()):
        return max(1, count)
    return at_once(model, torch.zeros(1, *shape, device=device_of(model)), transform.crops)


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


def _image(
    recipe: Recipe, preprocess: Preprocess, size: tuple[int, int], numbers: Sequence[int], seed: int, start: Any
) -> Image:
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


def of_pictures(wanted: Objective, some: Sequence[int], count: int) -> Objective:
    """The objective of some of the pictures: where one unit is named for each, theirs."""

    def theirs(part: Objective) -> Objective:
        changes: dict[str, Any] = {}
        for name in part.each:
            value = getattr(part, name)
            if isinstance(value, tuple):
                each = one_each(value, count, str(part))
                changes[name] = tuple(each[k] for k in some)
        return replace(part, **changes) if changes else part  # type: ignore[type-var]

    return rebuilt(wanted, theirs)


def _counting(progress: Progress | None, done: int, chunks: int) -> Progress | None:
    if progress is None:
        return None
    return lambda label, step, steps: progress(label, done * steps + step, chunks * steps)


def _joined(
    model: Model, wanted: Objective, recipe: Recipe, seed: int, size: tuple[int, int], parts: list[OptimisationResult]
) -> Visualisation:
    steps = min(len(part.objective) for part in parts)
    notes = []
    if any(part.stopped for part in parts):
        notes.append(f"Interrupted after {steps} of {recipe.steps} steps.")
    taken_up = sum(part.taken_up * len(part.pictures) for part in parts)
    if taken_up:
        notes.append(f"Taken up where an earlier call was interrupted: {taken_up} steps of single pictures were done.")
    pictures, final = (torch.cat([getattr(part, name) for part in parts]) for name in ("pictures", "final"))
    alpha = pictures[:, -1] if recipe.alpha else None
    if alpha is not None:
        notes.append("Where they are transparent, pictures are judged over plain grey.")
    notes += _without_effect(parts)
    rescued = sum(part.rescued for part in parts)
    if rescued:
        notes.append(f"In the first steps {rescued} gradients were led around dead rectifiers.")
    if type(wanted).__name__ == "Probability":
        notes.append(
            "A probability is made large by making all other classes unlikely; the logit is the better objective."
        )
    return Visualisation(
        model,
        str(wanted),
        recipe,
        seed,
        size,
        pictures if alpha is None else pictures[:, :-1],
        torch.cat([part.objective[:steps] for part in parts], 1),
        final,
        {name: torch.cat([part.terms.get(other, part.final) for part, other in zip(parts, names, strict=True)])
         for name, *names in zip(_names(wanted), *[part.terms for part in parts], strict=True)},
        torch.cat([part.attention for part in parts]),
        rescued,
        any(part.stopped for part in parts),
        sum(part.seconds for part in parts),
        alpha,
        notes,
        _together([part.snapshots for part in parts]),
    )  # fmt: skip


def _without_effect(parts: list[OptimisationResult]) -> list[str]:
    """What has to be said of pictures that nothing could be climbed for."""
    final = torch.cat([part.final for part in parts])
    still = torch.cat([_is_still(part) for part in parts]) & final.isfinite()
    found = []
    if not bool(final.isfinite().all()):
        found.append(
            f"{_pictures(~final.isfinite())}: the objective is not a finite number, so what was drawn means nothing. "
            "Weights that are not numbers, or an input of another scale than the network's, do that."
        )
    if bool(still.any()):
        found.append(
            f"{_pictures(still)}: no change of the picture changed the objective, as of a unit that is dead. What was "
            "drawn is what the picture began with and what the transforms and penalties made of it."
        )
    return found


def _is_still(part: OptimisationResult) -> Tensor:
    """Of which pictures the objective had no slope in any step, or one value in all and at the end, `[picture]`."""
    flat = part.attention.flatten(1).sum(1) == 0
    if len(part.objective) < 2:
        return flat & bool(len(part.objective))
    return flat | (torch.cat([part.objective, part.final[None]]) == part.objective[:1]).all(0)


def _pictures(which: Tensor) -> str:
    numbers = which.nonzero()[:, 0].tolist()
    return f"Picture{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _together(chunks: list[list[tuple[int, Tensor]]]) -> list[tuple[int, Tensor]]:
    """Snapshots of all pictures, of the steps that every chunk has reached."""
    return [(taken[0][0], torch.cat([pictures for _, pictures in taken])) for taken in zip(*chunks, strict=False)]


def _names(wanted: Objective) -> list[str]:
    leaves = (part for part in wanted.walk() if not part.parts and type(part).__name__ != "Constant")
    return list(dict.fromkeys(map(str, leaves)))


def spectrum_slope(picture: Tensor) -> float:
    """Slope of log power over log frequency, by least squares over rings, from 2 cycles to half of the resolution."""
    grey = picture.mean(0) - picture.mean()
    power = torch.fft.fft2(grey).abs().square()
    down, across = (torch.fft.fftfreq(n) * n for n in grey.shape)
    radius = torch.hypot(down[:, None], across[None]).round().long()
    most = min(grey.shape) // 4
    means = [float(power[radius == r].mean()) for r in range(2, most + 1)]
    x = torch.tensor([math.log(r) for r in range(2, most + 1)])
    y = torch.tensor([math.log(max(m, 1e-30)) for m in means])
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / x.square().sum())
