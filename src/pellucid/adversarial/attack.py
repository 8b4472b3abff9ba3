"""Steps up the loss within a small distance: FGSM, its iterated form, and projected gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid import arguments
from pellucid.adversarial.norms import NORMS, along, length, project, random_start
from pellucid.adversarial.odds import odds
from pellucid.capture.differentiable import DifferentiableForward, differentiable_forward
from pellucid.contracts import Model, Preprocess
from pellucid.errors import BadOption, BadOutput, Refused, unknown
from pellucid.models.preprocessing import preprocessing_of

ATTACKS = ("fgsm", "iterated", "pgd")
_RUNGS = 17
"""Distances that are tried before the bisection, each the square root of 2 times the last: eight doublings."""
_HALVINGS = 12


@dataclass(frozen=True, eq=False)
class Fooled:
    """Pictures before and after.

    Attributes:
        before: `[picture, channel, row, column]`, 0 to 1.
        after: within `eps` of them.
        scores_before, scores_after: `[picture, class]`.
        eps: distance allowed, in units of 0 to 1; of each picture.
        norm: in which it is measured.
        model: with what its scores were measured to be.
        vanished: True if the gradient that the search follows was zero or no number at its start, `[picture]`; such a
            picture was hardly searched, so that it says nothing of the network if its answer stays.
    """

    before: Tensor
    after: Tensor
    scores_before: Tensor
    scores_after: Tensor
    eps: Tensor
    norm: str
    vanished: Tensor
    model: Model

    @property
    def flipped(self) -> Tensor:
        """Whether the first answer is another one, `[picture]`."""
        return self.scores_before.argmax(1) != self.scores_after.argmax(1)

    @property
    def distance(self) -> Tensor:
        """How far each picture was moved, in its norm."""
        return length(self.after - self.before, self.norm)


def fool(
    model: Model,
    pictures: Tensor,
    *,
    attack: str = "fgsm",
    norm: str = "linf",
    eps: float | Tensor = 8 / 255,
    steps: int = 10,
    labels: Tensor | None = None,
    target: int | None = None,
    seed: int = 0,
    clip: bool = True,
) -> Fooled:
    """Move pictures within a distance so that the network's answer changes.

    fgsm: x + eps sign(g), one step (Goodfellow et al., arXiv:1412.6572, eq. in section 4). iterated: `steps` steps of
    eps / steps * 1.5, projected back each time (Kurakin et al., arXiv:1607.02533). pgd: the same from a random start
    (Madry et al., arXiv:1706.06083). g has the direction of the gradient of the cross-entropy of the label, or minus
    that of the target, see `odds`; in l2 the step goes along g itself. Of several steps the one that went furthest
    counts, not the last.

    That no answer changes is no proof that none could: a search has failed, and `vanished` says where it never began.

    Args:
        model: with preprocessing; left exactly as it was.
        pictures: `[picture, channel, row, column]`, 0 to 1, before normalisation.
        attack: `fgsm`, `iterated` or `pgd`.
        norm: `linf` (every value by eps at most) or `l2` (root of the sum of squares).
        eps: the distance, in units of 0 to 1; one, or one for each picture.
        steps: of the iterated attacks.
        labels: the true classes; None takes the network's own first answers.
        target: a class to be answered instead; None wants any other.
        seed: of the random start, which is the same for every picture, whatever is beside it.
        clip: keep values between 0 and 1, as pictures have to be.

    Raises:
        UnknownName: another attack or norm.
        BadOption: pictures outside of 0 to 1, or labels, eps or steps that cannot be.
        BadOutput: scores that are no numbers, or a single one, which has no other answer.
        Refused: the network gives quantities.
    """
    if attack not in ATTACKS:
        raise unknown("attack", attack, ATTACKS, f"Attacks: {', '.join(ATTACKS)}.")
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS, f"Norms: {', '.join(NORMS)}.")
    _check_range(pictures)
    far = _distances(eps, pictures)
    steps = arguments.whole_number(steps, "steps", "at least one step", least=1)
    preprocess = preprocessing_of(model)
    with differentiable_forward(model, (), scores=True) as eyes:
        measured = eyes.measured(preprocess.normalise(pictures))
        before = class_scores(eyes, preprocess.normalise(pictures))
        certain = measured.answers == "probabilities"
        goal = _Goal(_wanted(before, labels, target), away=target is None, certain=certain)
        moved = pictures.clone()
        if attack == "pgd":
            moved = project(pictures + random_start(pictures, far, norm, seed), pictures, far, norm, clip=clip)
        furthest = _Furthest(goal)
        count = 1 if attack == "fgsm" else steps
        size = far if attack == "fgsm" else 1.5 * far / steps
        vanished = torch.zeros(len(pictures), dtype=torch.bool)
        for step in range(count):
            slope, scores = _slope(eyes, moved, goal, preprocess)
            if step == 0:
                vanished = ~(slope.isfinite().flatten(1).all(1) & (slope != 0).flatten(1).any(1)).cpu()
            else:
                furthest.add(moved, scores)
            moved = project(moved + along(slope.nan_to_num(0, 0, 0), size, norm), pictures, far, norm, clip=clip)
        furthest.add(moved, class_scores(eyes, preprocess.normalise(moved)))
    return Fooled(pictures, furthest.pictures, before, furthest.scores, far, norm, vanished, measured)


def smallest(
    model: Model, pictures: Tensor, *, attack: str = "iterated", norm: str = "linf", most: float | None = None,
    target: int | None = None, steps: int = 10, seed: int = 0,
) -> Fooled:  # fmt: skip
    """The smallest distance at which an attack changes the answer; it is an upper bound of the smallest there is.

    A ladder of distances is tried from below, and between the first that succeeds and the one before it the distance is
    bisected: an answer that changes and comes back further out is found, too.

    Args:
        model: with preprocessing.
        pictures: as of `fool`.
        attack: likewise.
        norm: likewise.
        most: the largest distance that is tried; None is 0.25, in l2 that of every value moved by 0.25. A picture
            that withstands it comes back moved by it, not flipped.
        target: likewise; a picture that has this answer already comes back as it is, with a distance of 0.
        steps: likewise.
        seed: likewise.
    """
    if most is None:
        most = 0.25 if norm == "linf" else 0.25 * pictures[0].numel() ** 0.5
    if not 0 < most < math.inf:
        raise BadOption(f"Expected a largest distance above 0, got {most}.")

    def attempt(rows: Tensor, eps: Tensor, attack: str) -> tuple[Fooled, Tensor]:
        tried = fool(model, pictures[rows], attack=attack, norm=norm, eps=eps, target=target, steps=steps, seed=seed)
        return tried, (tried.flipped if target is None else tried.scores_after.argmax(1) == target).cpu()

    every = torch.arange(len(pictures))
    found, done = attempt(every, torch.zeros(len(pictures)), "fgsm" if attack in ATTACKS else attack)
    after, scores, vanished = found.after.clone(), found.scores_after.clone(), found.vanished.clone()
    low, high = torch.zeros(len(pictures)), torch.zeros(len(pictures))
    missing = every[~done]
    searched = missing
    for rung in range(_RUNGS - 1, -1, -1):
        if not len(missing):
            break
        low[missing], high[missing] = high[missing], most * 2 ** (-rung / 2)
        tried, done = attempt(missing, high[missing], attack)
        after[missing], scores[missing] = tried.after, tried.scores_after
        missing = missing[~done]
    searched = searched[~torch.isin(searched, missing)]
    for _ in range(_HALVINGS if len(searched) else 0):
        middle = (low[searched] + high[searched]) / 2
        tried, done = attempt(searched, middle, attack)
        rows = searched[done]
        after[rows], scores[rows], high[rows] = tried.after[done], tried.scores_after[done], middle[done]
        low[searched[~done]] = middle[~done]
    return Fooled(pictures, after, found.scores_before, scores, high, norm, vanished, found.model)


def class_scores(eyes: DifferentiableForward, given: Tensor) -> Tensor:
    """The scores `[picture, class]` of what the network is given, without a graph; of a binary one, of both sides.

    Raises:
        BadOption: the output has no class scores.
        BadOutput: they are no numbers, or there is one class only.
        Refused: they are quantities, which are no answer.
    """
    name, kind = eyes.model.name, eyes.measured(given).answers
    if kind == "regression":
        raise Refused(f"{name} gives quantities (regression), which are no answers of which another could be given.")
    _, scores = eyes.see(given)
    if scores is None:
        raise BadOption("The network's output has no class scores, so there is no answer to change.")
    if scores.shape[1] < 2:
        raise BadOutput(
            "The network has a single score, so there is no other answer that it could give. If it is binary, name "
            'both sides: answers="binary", classes=["no", "yes"] (--answers binary --classes FILE).'
        )
    if not bool(scores.isfinite().all()):
        raise BadOutput("The network's scores are not finite for this picture, so it has no answer that could change.")
    return scores.detach()


@dataclass(frozen=True, eq=False)
class _Goal:
    """What a search wants: away from the classes, or towards them."""

    classes: Tensor
    away: bool
    certain: bool

    def loss(self, scores: Tensor) -> Tensor:
        """What is climbed, `[picture]`."""
        found = odds(scores, self.classes, certain=self.certain)
        return -found if self.away else found

    def lead(self, scores: Tensor) -> Tensor:
        """Above 0 where it is reached: the lead of the best wanted answer over the best other, `[picture]`."""
        own = scores.gather(1, self.classes[:, None])[:, 0]
        other = scores.scatter(1, self.classes[:, None], -math.inf).amax(1)
        return other - own if self.away else own - other


class _Furthest:
    """The pictures whose scores came closest to a goal, or went furthest beyond it; of equal ones the last."""

    def __init__(self, goal: _Goal) -> None:
        self.goal = goal
        self.pictures = self.scores = torch.empty(0)

    def add(self, pictures: Tensor, scores: Tensor) -> None:
        """One step more."""
        if not len(self.pictures):
            self.pictures, self.scores = pictures, scores
            return
        better = self.goal.lead(scores) >= self.goal.lead(self.scores)
        self.scores = torch.where(better[:, None], scores, self.scores)
        self.pictures = torch.where(better.to(pictures.device)[:, None, None, None], pictures, self.pictures)


def _check_range(pictures: Tensor) -> None:
    if pictures.ndim != 4 or not pictures.is_floating_point() or not pictures.numel():
        raise BadOption(
            f"Expected float pictures [picture, channel, row, column], got {list(pictures.shape)} of {pictures.dtype}."
        )
    low, high = float(pictures.min()), float(pictures.max())
    if not (low >= 0 and high <= 1):
        raise BadOption(
            f"Expected pictures with values from 0 to 1, before normalisation, got {low:g} to {high:g}. Divide 8-bit "
            "values by 255, or undo the normalisation: distances and limits are those of 0 to 1."
        )


def _distances(eps: float | Tensor, pictures: Tensor) -> Tensor:
    far = torch.as_tensor(eps, dtype=pictures.dtype)
    if far.shape not in ((), (1,), (len(pictures),)) or not bool(((far >= 0) & far.isfinite()).all()):
        raise BadOption(f"Expected a distance of 0 or more, or one for each of {len(pictures)} pictures, got {eps}.")
    return far.expand(len(pictures))


def _wanted(before: Tensor, labels: Tensor | None, target: int | None) -> Tensor:
    """The class of each picture that the search is about."""
    known = before.argmax(1)
    if target is not None:
        if not 0 <= target < before.shape[1]:
            raise BadOption(f"Expected a class from 0 to {before.shape[1] - 1} as target, got {target}.")
        return torch.full_like(known, target)
    if labels is None:
        return known
    labels = torch.as_tensor(labels, device=known.device)
    if (
        labels.shape != known.shape
        or labels.is_floating_point()
        or not bool(((labels >= 0) & (labels < before.shape[1])).all())
    ):
        raise BadOption(f"Expected {len(known)} labels from 0 to {before.shape[1] - 1}, got {labels.tolist()}.")
    return labels.long()


def _slope(eyes: DifferentiableForward, moved: Tensor, goal: _Goal, preprocess: Preprocess) -> tuple[Tensor, Tensor]:
    """Where a goal is, at each picture's values from 0 to 1, and the scores there."""
    seen: list[Tensor] = []

    def loss(scores: Tensor) -> Tensor:
        seen.append(scores.detach())
        return goal.loss(scores)

    std = moved.new_tensor(preprocess.std)[:, None, None]
    return eyes.slope(preprocess.normalise(moved), loss) / std, seen[-1]
