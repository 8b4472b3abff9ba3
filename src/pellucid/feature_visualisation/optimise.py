"""The loop of gradient ascent: draw the pictures, move them, look at them, change what they are drawn from."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from pellucid.capture.differentiable import DifferentiableForward, differentiable_forward, in_graph, slopes
from pellucid.contracts import Model, Preprocess
from pellucid.errors import BadOption, PellucidError, said
from pellucid.feature_visualisation.checkpoint import Checkpoint, optimiser_tensors, put, restore
from pellucid.feature_visualisation.evaluator import ObjectiveEvaluator
from pellucid.feature_visualisation.images import Image
from pellucid.feature_visualisation.objectives import Objective
from pellucid.feature_visualisation.settings import RunSettings
from pellucid.feature_visualisation.transforms import NONE
from pellucid.feature_visualisation.visualisation import Snapshot

RESCUED_STEPS = 16
"""Steps in which gradients are led around dead rectifiers: enough to wake a unit, few enough not to mislead it."""

OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "nadam": torch.optim.NAdam,
    "sgd": torch.optim.SGD,
}
Optimiser = Callable[[list[Tensor]], torch.optim.Optimizer]
"""Makes an optimiser of the numbers behind an image; as every optimiser of torch it makes a loss small."""


class PictureTransform(Protocol):
    """What pictures are put through before the network sees them."""

    def apply(self, pictures: Tensor, step: int, steps: int, seed: int, numbers: Sequence[int]) -> Tensor:
        """See `Transform.apply`."""


@dataclass(frozen=True, eq=False)
class OptimisationResult:
    """What came of optimising one batch.

    Attributes:
        pictures: untransformed pictures, `[batch, channel, row, column]`, 0 to 1; opacity is behind the channels.
        objective: objective of the transformed pictures at each step, `[step, batch]`.
        final: objective of the untransformed pictures at the end, `[batch]`.
        terms: value of each part of the objective at the end, by its text, `[batch]`.
        attention: absolute gradient of the picture, summed over channels and steps, `[batch, row, column]`.
        rescued: number of picture-and-layer gradients that were led around dead rectifiers.
        stopped: True where it was interrupted.
        seconds: time that it took in all.
        snapshots: pictures on the way, with the step after which they were taken.
        taken_up: number of steps that an earlier call had done.
    """

    pictures: Tensor
    objective: Tensor
    final: Tensor
    terms: Mapping[str, Tensor]
    attention: Tensor
    rescued: int
    stopped: bool
    seconds: float
    snapshots: tuple[Snapshot, ...] = ()
    taken_up: int = 0


@dataclass
class _Track:
    """What a climb gathers on its way."""

    attention: Tensor
    history: list[Tensor] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
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


def optimise(
    model: Model,
    image: Image,
    objective: Objective,
    *,
    preprocess: Preprocess,
    steps: int = 256,
    rate: float = 0.05,
    optimiser: str | Optimiser = "adam",
    transform: PictureTransform = NONE,
    fed: tuple[int, int] | None = None,
    numbers: Sequence[int] = (0,),
    run: RunSettings = RunSettings(),  # noqa: B008 - it is frozen
    kept: Checkpoint | None = None,
) -> OptimisationResult:
    """Change an image, step by step, to make an objective large.

    The forward pass ends at the deepest layer that the objective needs; no gradient is computed for weights; every
    picture of the batch has its own objective and its own state of the optimiser, so a batch of pictures comes out as
    each would alone.

    Args:
        model: network that is asked; afterwards exactly as it was.
        image: the pictures, changed in place.
        objective: expression that is made large.
        preprocess: how pictures from 0 to 1 become the network's input.
        steps: number of steps.
        rate: learning rate of the optimiser.
        optimiser: `adam`, `nadam` or `sgd`; or a function that makes one of the numbers behind the image.
        transform: movement that the pictures are put through before the network sees them.
        fed: rows and columns that the network is given; None is those of the pictures.
        numbers: numbers of the pictures of this batch, for their own draws.
        run: settings of the run; its size, chunk and folder are the caller's business.
        kept: place where the state is kept from which an interrupted climb goes on.

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
                move = partial(transform.apply, step=step, steps=steps, seed=run.seed, numbers=numbers)
                value, sensitivity = _step(image, look, state, move, rescue=step < RESCUED_STEPS)
                track.history.append(value.cpu())
                track.attention += sensitivity
                if run.snapshot and (step + 1) % run.snapshot == 0:
                    track.snapshots.append((step + 1, _seen(image)))
                if kept:
                    seconds = track.before + time.perf_counter() - start
                    kept.remember(track.tensors(image, state), {"rescued": eyes.rescued, "seconds": seconds})
                if run.progress:
                    run.progress("dreaming", step + 1, steps)
                if run.watch:
                    run.watch(step, value, lambda: _seen(image))
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
        tuple(track.snapshots),
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
