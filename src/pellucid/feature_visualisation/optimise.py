"""The loop: draw, move, look, climb."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from pellucid.capture.differentiable import DifferentiableForward, differentiable_forward, in_graph, slopes
from pellucid.capture.layers import check_grid
from pellucid.capture.passes import find_grid
from pellucid.contracts import Grid, Model, Preprocess, Site
from pellucid.errors import BadOption, PellucidError, said
from pellucid.feature_visualisation.images import Image
from pellucid.feature_visualisation.keeping import Checkpoint, optimiser_tensors, put, restore
from pellucid.feature_visualisation.objectives import Objective, ObjectiveContext
from pellucid.feature_visualisation.transforms import NONE
from pellucid.feature_visualisation.transparency import over_grey
from pellucid.numerics import resize
from pellucid.pictures import prepare

RESCUED_STEPS = 16
"""Steps in which gradients are led around dead rectifiers: enough to wake a unit, few enough not to mislead it."""

OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "nadam": torch.optim.NAdam,
    "sgd": torch.optim.SGD,
}
Optimiser = Callable[[list[Tensor]], torch.optim.Optimizer]
"""Makes an optimiser of the numbers behind an image; as every optimiser of torch it makes a loss small."""
Progress = Callable[[str, int, int], None]
Watch = Callable[[int, Tensor, Callable[[], Tensor]], None]
"""Called after each step with its number, the objective of each picture, and a way to see the pictures."""


class Moving(Protocol):
    """What pictures are put through before the network sees them."""

    def apply(self, pictures: Tensor, step: int, steps: int, seed: int, numbers: Sequence[int]) -> Tensor:
        """See `Transform.apply`."""


@dataclass
class OptimisationResult:
    """What came of optimising one batch.

    Attributes:
        pictures: untransformed, `[batch, channel, row, column]`, 0 to 1; opacity is behind the channels.
        objective: of the transformed pictures at each step, `[step, batch]`.
        final: of the untransformed pictures at the end, `[batch]`.
        terms: each part of the objective at the end, by its text, `[batch]`.
        attention: where the gradient went, summed over steps, `[batch, row, column]`.
        rescued: how many picture-and-layer gradients were led around dead rectifiers.
        stopped: whether it was interrupted.
        seconds: in all.
        snapshots: pictures on the way, with the step after which they were taken.
        taken_up: steps that an earlier call had done.
    """

    pictures: Tensor
    objective: Tensor
    final: Tensor
    terms: dict[str, Tensor]
    attention: Tensor
    rescued: int
    stopped: bool
    seconds: float
    snapshots: list[tuple[int, Tensor]] = field(default_factory=list)
    taken_up: int = 0


@dataclass
class _Track:
    """What a climb gathers on its way."""

    attention: Tensor
    history: list[Tensor] = field(default_factory=list)
    snapshots: list[tuple[int, Tensor]] = field(default_factory=list)
    before: float = 0.0  # seconds of earlier calls
    taken_up: int = 0

    def tensors(self, image: Image, state: torch.optim.Optimizer) -> dict[str, Tensor]:
        """All of it, with where image and optimiser are."""
        return {
            **{f"parameter.{k}": tensor for k, tensor in enumerate(image.parameters)},
            **optimiser_tensors(state),
            **{f"snapshot.{step}": pictures for step, pictures in self.snapshots},
            "attention": self.attention,
            "history": torch.stack(self.history),
        }

    def take_up(self, kept: Checkpoint | None, image: Image, state: torch.optim.Optimizer) -> int:
        """Go on from what is kept, if anything; the gradients that were rescued by then."""
        found = kept.read() if kept else None
        if found is None:
            return 0
        tensors, facts = found
        first, fresh = [p.detach().clone() for p in image.parameters], copy.deepcopy(state.state_dict())
        try:
            restore(state, image.parameters, tensors)
            attention = tensors["attention"].view_as(self.attention)
            history = list(tensors["history"].view(-1, len(attention)).unbind())
            taken = [int(name.partition(".")[2]) for name in tensors if name.startswith("snapshot.")]
            snapshots = [(step, tensors[f"snapshot.{step}"]) for step in sorted(taken)]
            before, rescued = float(facts["seconds"]), int(facts["rescued"])
        except Exception:  # noqa: BLE001 - a state that does not fit is none, whatever is wrong with it
            state.load_state_dict(fresh)
            put(image.parameters, first)
            return 0
        self.attention, self.history, self.snapshots = attention, history, snapshots
        self.before, self.taken_up = before, len(history)
        return rescued


def optimise(  # noqa: PLR0913 - the loop of every dream; `dream` is what people call
    model: Model,
    image: Image,
    objective: Objective,
    *,
    preprocess: Preprocess,
    steps: int = 256,
    rate: float = 0.05,
    optimiser: str | Optimiser = "adam",
    transform: Moving = NONE,
    fed: tuple[int, int] | None = None,
    seed: int = 0,
    numbers: Sequence[int] = (0,),
    snapshot: int | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    kept: Checkpoint | None = None,
) -> OptimisationResult:
    """Change an image, step by step, to make an objective large.

    The forward pass ends at the deepest layer that the objective needs; no gradient is computed for weights; every
    picture of the batch has its own objective and its own state of the optimiser, so a batch of pictures comes out as
    each would alone.

    Args:
        model: the network; afterwards exactly as it was.
        image: the pictures, changed in place.
        objective: what to make large.
        preprocess: how pictures from 0 to 1 become the network's input.
        steps: how many.
        rate: of the optimiser.
        optimiser: `adam`, `nadam` or `sgd`; or a function that makes one of the numbers behind the image.
        transform: what the pictures are put through before the network sees them.
        fed: rows and columns that the network is given; None is those of the pictures.
        seed: of the transforms.
        numbers: of the pictures of this batch, for their own draws.
        snapshot: keep the pictures every so many steps.
        progress: called with what is going on, steps done and steps in all.
        watch: see `Watch`.
        kept: where the state is kept from which an interrupted climb goes on.

    Raises:
        BadSite, BadOption: the objective does not fit the network.
    """
    if (isinstance(optimiser, str) and optimiser not in OPTIMISERS) or steps < 0 or not rate > 0:
        raise BadOption(
            f"Expected adam, nadam or sgd, steps of 0 or more and a rate above 0; got {optimiser!r}, {steps}, {rate}."
        )
    start = time.perf_counter()
    sites = [site for part in objective.walk() for site in part.sites]
    scores = any(part.needs_scores for part in objective.walk())
    stopped = False
    with differentiable_forward(model, sites, scores=scores) as eyes:
        make = partial(OPTIMISERS[optimiser], lr=rate) if isinstance(optimiser, str) else optimiser
        state = make(image.parameters)
        look = ObjectiveEvaluator(model, eyes, preprocess, objective, fed)
        with torch.no_grad():
            first = image.pictures()
            _try(eyes, look.input(look.judged(first)[0]))
        track = _Track(torch.zeros(len(first), *first.shape[2:]))
        eyes.rescued = track.take_up(kept, image, state)
        try:
            for step in range(track.taken_up, steps):
                move = partial(transform.apply, step=step, steps=steps, seed=seed, numbers=numbers)
                value, sensitivity = _step(image, look, state, move, rescue=step < RESCUED_STEPS)
                track.history.append(value.cpu())
                track.attention += sensitivity
                if snapshot and (step + 1) % snapshot == 0:
                    track.snapshots.append((step + 1, _seen(image)))
                if kept:
                    seconds = track.before + time.perf_counter() - start
                    kept.remember(track.tensors(image, state), {"rescued": eyes.rescued, "seconds": seconds})
                if progress:
                    progress("dreaming", step + 1, steps)
                if watch:
                    watch(step, value, lambda: _seen(image))
        except KeyboardInterrupt:
            stopped = True
        if kept:
            kept.write()
        pictures = _seen(image)
        final, terms = look.judge(pictures)
    return OptimisationResult(
        pictures,
        torch.stack(track.history) if track.history else torch.zeros(0, len(pictures)),
        final,
        terms,
        track.attention,
        eyes.rescued,
        stopped,
        track.before + time.perf_counter() - start,
        track.snapshots,
        track.taken_up,
    )


def _try(eyes: DifferentiableForward, given: Tensor) -> None:
    """One pass, in which the network says whether it takes pictures of a size that is not its own.

    Raises:
        BadOption: it does not.
    """
    try:
        eyes.check(given)
    except PellucidError:
        raise
    except Exception as error:
        own = eyes.model.preprocess.size if eyes.model.preprocess else None
        size = tuple(given.shape[2:])
        if own is None or own == size:
            raise  # the guard says what that means
        why = " ".join(said(error).split())
        raise BadOption(
            f"{eyes.model.name} takes no pictures of {size[0]} x {size[1]} pixels: {why}. Its own size is "
            f"{own[0]} x {own[1]}: leave the size out."
        ) from error


class ObjectiveEvaluator:
    """From pictures to an objective's value."""

    def __init__(
        self, model: Model, eyes: DifferentiableForward, preprocess: Preprocess, objective: Objective,
        fed: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        self.model, self.eyes, self.objective = model, eyes, objective
        self.preprocess, self.fed = preprocess, fed
        self.mean, self.std = (torch.tensor(v).view(1, -1, 1, 1) for v in (preprocess.mean, preprocess.std))
        device = next((p.device for p in model.module.parameters()), torch.device("cpu"))
        self.device = device
        self.kept: dict[Hashable, Any] = {}
        self.photograph = cache(self._photograph)
        self.of_photograph = cache(self._of_photograph)
        self.grids: dict[Hashable, Grid | str] = {}

    def input(self, pictures: Tensor) -> Tensor:
        """What the network is given."""
        sized = pictures if self.fed is None else resize(pictures, self.fed)
        return ((sized - self.mean) / self.std).to(self.device)

    def judged(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pictures with the network's channels only, and their opacity if they have one; see `over_grey`."""
        return over_grey(pictures, self.mean.shape[1])

    def value(self, pictures: Tensor, moved: Tensor, *, rescue: bool) -> Tensor:
        """Of each picture, `[batch]`; views of one picture count together by their mean."""
        given = self.input(moved)
        layers, scores = self.eyes.see(given, rescue=rescue)
        views = len(moved) // len(pictures)
        seen = self._seen(pictures.repeat_interleave(views, 0) if views > 1 else pictures, given, layers, scores)
        return self.objective.value(seen).view(len(pictures), views).mean(1)

    def judge(self, pictures: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective and each of its parts, of untransformed pictures."""
        given = self.input(self.judged(pictures)[0])
        layers, scores = self.eyes.see(given)
        seen = self._seen(pictures, given, layers, scores)
        leaves = [part for part in self.objective.walk() if not part.parts and type(part).__name__ != "Constant"]
        terms = {str(part): part.value(seen).detach() for part in leaves}
        return in_graph(lambda: self.objective.value(seen)).detach(), terms  # facets differentiate inside

    def _seen(
        self, pictures: Tensor, given: Tensor, layers: dict[Site, Tensor], scores: Tensor | None
    ) -> ObjectiveContext:
        flat, opacity = self.judged(pictures)
        return ObjectiveContext(
            self.model if scores is None else self.eyes.measured(given),
            flat,
            self.input(flat),
            layers,
            self.eyes.edges,
            scores,
            lambda name, site: self.of_photograph(name, site)[0],
            partial(self._as_maps, given),
            self._maps_of_photograph,
            self.photograph,
            opacity,
            self.kept,
        )

    def _photograph(self, name: str) -> Tensor:
        return photograph(name, self.preprocess)

    def _as_maps(self, given: Tensor, site: Site, value: Tensor) -> Tensor:
        """What a site gives for the network's input as maps; what has no places known stays, if it has four axes."""
        key = (site, given.shape[2:], value.shape[1:])
        if key not in self.grids:
            self.grids[key] = find_grid(self.model, site, value, given)
        grid = self.grids[key]
        return value if isinstance(grid, str) and value.dim() == 4 else check_grid(grid, site, value).to_maps(value)

    def _maps_of_photograph(self, name: str, site: Site, size: tuple[int, int] | None = None) -> Tensor:
        value, given = self.of_photograph(name, site, size)
        return self._as_maps(given, site, value)

    def _of_photograph(self, name: str, site: Site, size: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """What a site gives for a photograph, and what the network was given."""
        preprocess = self.preprocess if size is None else sized(self.preprocess, size)
        edges = dict(self.eyes.edges)
        given = self.input(photograph(name, preprocess))
        layers, _ = self.eyes.see(given)
        self.eyes.edges.clear()
        self.eyes.edges.update(edges)  # those of the pictures that are being drawn
        return layers[site].detach(), given


def sized(preprocess: Preprocess, sides: tuple[int, ...]) -> Preprocess:
    """The same for another size: as much as fits is cropped, or the whole squeezed, as it was.

    A function of the user's own knows one size only: for others its values are taken, and the whole is squeezed.
    """
    return replace(preprocess, size=(sides[0], sides[1]), resize=preprocess.resize and min(sides), transform=None)


def name_of(picture: Any) -> str:
    """A photograph as objectives name it, which are written as text.

    Raises:
        BadOption: it has no name.
    """
    if not isinstance(picture, str | Path):
        raise BadOption(
            f"Expected a path or sample:NAME for the photograph, got {type(picture).__name__}. Save it first."
        )
    return str(picture)


def photograph(source: Any, preprocess: Preprocess) -> Tensor:
    """A picture as the network would see it, before normalisation: `[1, channel, row, column]`, 0 to 1."""
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (preprocess.mean, preprocess.std))
    return (prepare(source, preprocess).tensor * std + mean).clamp(0, 1)[None]


def _step(
    image: Image,
    look: ObjectiveEvaluator,
    state: torch.optim.Optimizer,
    move: Callable[[Tensor], Tensor],
    *,
    rescue: bool,
) -> tuple[Tensor, Tensor]:
    """The objective of each picture before the step, and where the gradient went."""
    seen: list[tuple[Tensor, Tensor]] = []

    def draw_and_look() -> tuple[Tensor, Tensor]:
        pictures = image.pictures()
        return look.value(pictures, move(pictures), rescue=rescue), pictures

    def loss() -> Tensor:
        value, pictures = in_graph(draw_and_look)
        *climbs, towards = slopes(value, [*image.parameters, pictures])
        for parameter, slope in zip(image.parameters, climbs, strict=True):
            parameter.grad = -slope.contiguous()
        seen.append((value.detach(), towards.abs().sum(1).cpu()))
        return -value.detach().sum()

    state.step(loss)  # type: ignore[arg-type]
    return seen[0]


@torch.no_grad()
def _seen(image: Image) -> Tensor:
    return image.pictures().detach().clone()
