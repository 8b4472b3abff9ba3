"""Steps up the loss within a small distance: FGSM, its iterated form, and projected gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.sensing import Sensing, sensing
from pellucid.errors import BadOption, unknown
from pellucid.models.preprocessing import preprocessing_of
from pellucid.types import Model

ATTACKS = ("fgsm", "iterated", "pgd")
NORMS = ("linf", "l2")
_HALVINGS = {"linf": 12, "l2": 18}


@dataclass(frozen=True, eq=False)
class Fooled:
    """Pictures before and after.

    Attributes:
        before: `[picture, channel, row, column]`, 0 to 1.
        after: within `eps` of them.
        scores_before, scores_after: `[picture, class]`.
        eps: distance allowed, in units of 0 to 1; of each picture.
        norm: in which it is measured.
    """

    before: Tensor
    after: Tensor
    scores_before: Tensor
    scores_after: Tensor
    eps: Tensor
    norm: str

    @property
    def flipped(self) -> Tensor:
        """Whether the first answer is another one, `[picture]`."""
        return self.scores_before.argmax(1) != self.scores_after.argmax(1)

    @property
    def distance(self) -> Tensor:
        """How far each picture was moved, in its norm."""
        return _length(self.after - self.before, self.norm)


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
    (Madry et al., arXiv:1706.06083). g is the gradient of the cross-entropy of the label, or minus that of the target;
    in l2 the step goes along g itself.

    Args:
        model: with preprocessing; left exactly as it was.
        pictures: `[picture, channel, row, column]`, 0 to 1, before normalisation.
        attack: `fgsm`, `iterated` or `pgd`.
        norm: `linf` (every value by eps at most) or `l2` (root of the sum of squares).
        eps: the distance, in units of 0 to 1; one, or one for each picture.
        steps: of the iterated attacks.
        labels: the true classes; None takes the network's own first answers.
        target: a class to be answered instead; None wants any other.
        seed: of the random start.
        clip: keep values between 0 and 1, as pictures have to be.

    Raises:
        UnknownName: another attack or norm.
        BadOption: eps or steps that cannot be.
    """
    if attack not in ATTACKS:
        raise unknown("attack", attack, ATTACKS, f"Attacks: {', '.join(ATTACKS)}.")
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS, f"Norms: {', '.join(NORMS)}.")
    far = torch.as_tensor(eps, dtype=pictures.dtype).expand(len(pictures))
    if not bool(((far >= 0) & far.isfinite()).all()) or steps < 1:
        raise BadOption(f"Expected a distance of 0 or more and at least one step, got {eps} and {steps}.")
    preprocess = preprocessing_of(model)
    mean, std = (torch.tensor(v, dtype=pictures.dtype).view(1, -1, 1, 1) for v in (preprocess.mean, preprocess.std))
    with sensing(model, (), scores=True) as eyes:
        before = class_scores(eyes, (pictures - mean) / std)
        known = before.argmax(1) if labels is None else labels
        if target is not None and not 0 <= target < before.shape[1]:
            raise BadOption(f"Expected a class from 0 to {before.shape[1] - 1} as target, got {target}.")
        wanted = torch.full_like(known, target) if target is not None else known
        sign = -1.0 if target is not None else 1.0
        moved = pictures.clone()
        if attack == "pgd":
            moved = _project(pictures + _random(pictures, far, norm, seed), pictures, far, norm, clip=clip)
        count = 1 if attack == "fgsm" else steps
        size = far if attack == "fgsm" else 1.5 * far / steps
        for _ in range(count):
            slope = sign * _slope(eyes, moved, wanted, mean, std)
            moved = _project(moved + _along(slope, size, norm), pictures, far, norm, clip=clip)
        after = class_scores(eyes, (moved - mean) / std)
    return Fooled(pictures, moved, before, after, far, norm)


def smallest(
    model: Model, pictures: Tensor, *, attack: str = "iterated", norm: str = "linf", most: float | None = None,
    target: int | None = None, steps: int = 10, seed: int = 0,
) -> Fooled:  # fmt: skip
    """The smallest distance, by bisection, at which an attack changes the answer; it is an upper bound of the smallest.

    Args:
        model: with preprocessing.
        pictures: as of `fool`.
        attack: likewise.
        norm: likewise.
        most: the largest distance that is tried; None is 0.25, in l2 that of every value moved by 0.25. A picture
            that withstands it comes back moved by it, not flipped.
        target: likewise.
        steps: likewise.
        seed: likewise.
    """
    if most is None:
        most = 0.25 if norm == "linf" else 0.25 * pictures[0].numel() ** 0.5
    if not most > 0:
        raise BadOption(f"Expected a largest distance above 0, got {most}.")
    low, high = torch.zeros(len(pictures)), torch.full((len(pictures),), float(most))
    for _ in range(_HALVINGS.get(norm, 0)):
        middle = (low + high) / 2
        tried = fool(model, pictures, attack=attack, norm=norm, eps=middle, target=target, steps=steps, seed=seed)
        done = tried.flipped if target is None else tried.scores_after.argmax(1) == target
        low, high = torch.where(done, low, middle), torch.where(done, middle, high)
    return fool(model, pictures, attack=attack, norm=norm, eps=high, target=target, steps=steps, seed=seed)


def class_scores(eyes: Sensing, given: Tensor) -> Tensor:
    """The scores `[picture, class]` of what the network is given, without a graph."""
    _, scores = eyes.see(given)
    if scores is None:
        raise BadOption("The network's output has no class scores, so there is no answer to change.")
    return scores.detach()


def _slope(eyes: Sensing, moved: Tensor, wanted: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Gradient of each picture's cross-entropy at its values from 0 to 1."""
    return eyes.slope((moved - mean) / std, lambda scores: F.cross_entropy(scores, wanted, reduction="none")) / std


def _along(slope: Tensor, size: Tensor, norm: str) -> Tensor:
    if norm == "linf":
        return slope.sign() * size.view(-1, 1, 1, 1)
    return slope * (size / _length(slope, norm).clamp(min=1e-30)).view(-1, 1, 1, 1)


def _project(moved: Tensor, start: Tensor, far: Tensor, norm: str, *, clip: bool) -> Tensor:
    """Back to within the distance, and to what a picture can hold."""
    away = moved - start
    if norm == "linf":
        reach = far.view(-1, 1, 1, 1)
        away = away.clamp(-reach, reach)
    else:
        away = away * (far / _length(away, norm).clamp(min=1e-30)).clamp(max=1).view(-1, 1, 1, 1)
    return (start + away).clamp(0, 1) if clip else start + away


def _length(away: Tensor, norm: str) -> Tensor:
    flat = away.flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)


def _random(pictures: Tensor, far: Tensor, norm: str, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(pictures.shape, generator=generator).to(pictures) * 2 - 1
    return (
        drawn * far.view(-1, 1, 1, 1)
        if norm == "linf"
        else _along(drawn, far * torch.rand((), generator=generator), norm)
    )
