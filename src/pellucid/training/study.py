"""From a set of pictures to a trained network and an account of what it learned."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.contracts import Preprocess
from pellucid.errors import BadOption, unknown
from pellucid.models.preprocessing import nominal_size
from pellucid.models.trained import ModelCard
from pellucid.seeds import seeded
from pellucid.training.data import Examples
from pellucid.training.hyperparameters import Settings, usual_settings
from pellucid.training.loop import Progress, Trained, predict, task_loss, train
from pellucid.training.right import Right, right
from pellucid.zoo.architectures import SELF_EXPLAINING, Architecture, build, find_architecture
from pellucid.zoo.self_explaining import preserving

TEST_SHARE = 0.2
"""Of the pictures, held out until the end: only the last numbers of the account are of them."""
VALIDATION_SHARE = 0.1
"""Of the others, to stop early by."""
PHOTO_CHANNELS = 3


@dataclass(frozen=True)
class Mistake:
    """A held-out picture that was answered wrongly; numbers of classes, and the probability of the wrong one."""

    number: int
    label: int
    answer: int
    probability: float


@dataclass
class Study:
    """What came of training on pictures.

    Attributes:
        trained: the network and its history.
        card: what has to be known to use it.
        test: the held-out pictures.
        inputs: as the network sees them, `[picture, channel, row, column]`.
        confusion: how many of each class (row) were given each answer (column).
        mistakes: the surest first.
        right: how many held-out pictures were answered right, beside guessing.
        counts: pictures to learn from, to stop by, and held out.
        seconds: of training.
        notes: what the reader must know.
    """

    trained: Trained
    card: ModelCard
    test: Examples
    inputs: Tensor
    confusion: Tensor
    mistakes: list[Mistake]
    right: Right
    counts: tuple[int, int, int]
    seconds: float
    notes: list[str] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        """Share of the held-out pictures answered right, 0 to 1."""
        return self.right.share


def for_examples(examples: Examples) -> Settings:
    """Usual settings for a set of pictures, a part of which is held out."""
    return usual_settings(round(len(examples) * (1 - TEST_SHARE) * (1 - VALIDATION_SHARE)))


def study(
    architecture: str,
    examples: Examples,
    settings: Settings | None = None,
    *,
    head: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    state: Path | None = None,
    resume: bool = False,
    self_explaining: bool = False,
    random_labels: bool = False,
) -> Study:
    """Train a network of the zoo on pictures.

    A fifth of each class is held out until the end; a tenth of the rest decides when to stop.

    Args:
        architecture: a name of the zoo.
        examples: the pictures.
        settings: how to train; None takes what suits the number of pictures.
        head: `linear` or `gap`, where the network can end in more than one way.
        size: side of the pictures in pixels; None takes the architecture's.
        progress: function that is called with what is going on, steps done and steps in all.
        state: folder that keeps the state after every pass; the same training goes on from there.
        resume: refuse to begin anew where only other trainings are kept.
        self_explaining: train it together with a network that says which part of a picture it needs.
        random_labels: learn labels drawn at random by heart, the pictures never shifted, stopping by these same labels;
            for the metric `data-randomisation` (Adebayo et al., arXiv:1810.03292, section 4).

    Raises:
        UnknownName: no such network, or it cannot end in that way.
        BadOption: a class with too few pictures, or a size that the network cannot take.
    """
    settings, kind = settings or for_examples(examples), find_architecture(architecture)
    if head and head not in kind.heads:
        raise unknown(f"head of {architecture}", head, kind.heads, f"It has {', '.join(kind.heads)}.")
    plain = _preprocess(kind, examples, size)
    examples, unit = examples.tensors(plain, progress)
    _enough(examples)
    rest, held = examples.split(TEST_SHARE, settings.seed)
    learn, check = examples.take(rest).split(VALIDATION_SHARE, settings.seed)
    learn, check = [rest[k] for k in learn], [rest[k] for k in check]
    preprocess, inputs = _normalised(plain, unit, learn)
    options = _options(kind, preprocess, len(examples.classes), head)
    if self_explaining:
        name, options = SELF_EXPLAINING, {"main": architecture, "options": options, "channels": len(preprocess.mean)}
    else:
        name = architecture
    module = build(name, options, seed=settings.seed)
    _try(module, inputs[:2], architecture)
    pairs = [(inputs[chosen], examples.labels[chosen]) for chosen in (learn, check)]
    if random_labels:
        settings = replace(settings, shift=0)
        pairs = [(pairs[0][0], _drawn_labels(pairs[0][1], settings.seed))] * 2
    loss = preserving if self_explaining else task_loss
    trained = train(module, pairs[0], pairs[1], settings, loss=loss, progress=progress, state=state, resume=resume)
    test = examples.take(held)
    confusion, mistakes, found = _judge(trained.module, inputs[held], test, examples.labels[learn])
    facts: dict[str, Any] = {"data": examples.name, "seed": settings.seed}
    notes = list(examples.notes)
    if random_labels:
        by_heart = (predict(trained.module, pairs[0][0]).argmax(1) == pairs[0][1]).float().mean().item()
        facts["random_labels"] = by_heart
        notes.append(f"Learned random labels, {by_heart:.0%} of them by heart; on held-out pictures it can only guess.")
    elif found.note and trained.history:
        notes.append(found.note)
    card = ModelCard(name, options, examples.classes, preprocess, facts)
    counts = (len(learn), len(pairs[1][0]), len(held))
    card = replace(card, facts={**facts, "accuracy": found.share})
    return Study(trained, card, test, inputs[held], confusion, mistakes, found, counts, trained.seconds, notes)


def _drawn_labels(labels: Tensor, seed: int) -> Tensor:
    """The same labels in another order, so that classes stay as frequent as they are."""
    return labels[torch.randperm(len(labels), generator=seeded(seed))]


def _enough(examples: Examples) -> None:
    """Of each class one picture to learn from, one to stop by and one to hold out."""
    counts = torch.bincount(examples.labels, minlength=len(examples.classes)).tolist()
    few = {name: count for name, count in zip(examples.classes, counts, strict=True) if count < 3}
    if few:
        words = ", ".join(f"{name!r} ({count})" for name, count in list(few.items())[:4])
        more = f" and {len(few) - 4} more" if len(few) > 4 else ""
        left = "".join(f" {note}" for note in examples.notes)
        raise BadOption(
            f"Some classes of {examples.name} have too few readable pictures: {words}{more}. Training needs three of "
            f"each at least: to learn from, to stop by and to hold out.{left}"
        )


def _preprocess(kind: Architecture, examples: Examples, size: int | None) -> Preprocess:
    """Whole pictures squeezed to the size; grey when they are and the network can take it."""
    grey = kind.channels == 1 or (kind.takes("channels") and _all_grey(examples))
    channels = 1 if grey else PHOTO_CHANNELS
    return Preprocess((size or kind.size,) * 2, None, "bilinear", (0.0,) * channels, (1.0,) * channels)


def _all_grey(examples: Examples) -> bool:
    return all(getattr(source, "ndim", 0) == 2 for source in examples.sources)


def _normalised(plain: Preprocess, unit: Tensor, learn: list[int]) -> tuple[Preprocess, Tensor]:
    """Every channel of the pictures to learn from gets mean 0 and deviation 1; the others go along."""
    known = unit[learn].double()
    mean = [round(float(m), 4) for m in known.mean((0, 2, 3))]
    std = [max(round(float(s), 4), 1e-3) for s in known.std((0, 2, 3))]
    shape = (1, len(mean), 1, 1)
    inputs = (unit - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    return replace(plain, mean=tuple(mean), std=tuple(std)), inputs


def _options(kind: Architecture, preprocess: Preprocess, classes: int, head: str | None) -> dict[str, Any]:
    wanted = {"classes": classes, "channels": len(preprocess.mean), "head": head or kind.heads[0]}
    options = {name: value for name, value in wanted.items() if kind.takes(name)}
    if kind.takes("sizes"):
        default = inspect.signature(kind.make).parameters["sizes"].default
        rows, columns = nominal_size(preprocess)
        options["sizes"] = [rows * columns * len(preprocess.mean), *default[1:-1], classes]
    return options


@torch.no_grad()
def _try(module: nn.Module, inputs: Tensor, name: str) -> None:
    try:
        module.eval()(inputs)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise BadOption(
            f"{name} cannot take pictures of {inputs.shape[2]} x {inputs.shape[3]} pixels: {reason}. "
            f"Its own size is {find_architecture(name).size}."
        ) from error


def _judge(module: nn.Module, inputs: Tensor, test: Examples, learned: Tensor) -> tuple[Tensor, list[Mistake], Right]:
    probabilities = predict(module, inputs).softmax(1)
    sure, answers = probabilities.max(1)
    count = len(test.classes)
    confusion = torch.bincount(test.labels * count + answers, minlength=count * count).view(count, count)
    wrong = (answers != test.labels).nonzero()[:, 0]
    wrong = wrong[sure[wrong].argsort(descending=True)]
    mistakes = [Mistake(k, int(test.labels[k]), int(answers[k]), float(sure[k])) for k in wrong.tolist()]
    return confusion, mistakes, right(answers, test.labels, learned, test.classes)
