"""Targets of networks that score every pixel: a class over a part of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.contracts import Frame, Model, Prediction, Scores
from pellucid.errors import BadOption, BadOutput
from pellucid.numerics import full_precision
from pellucid.targets.answers import has_probabilities, probabilities
from pellucid.targets.base import Interpretation, Target, TargetContext
from pellucid.targets.class_names import class_index, fit_classes, listed
from pellucid.targets.classes import Logit
from pellucid.targets.outputs import described, scores_of
from pellucid.targets.places import boxes, masks, points, written

BACKGROUND = ("background", "__background__")
"""Names of the class that stands for none of the others; it is never the top class."""


def pixel_scores(output: Any, model: Model) -> Tensor:
    """The scores `[n, class, row, column]` in a model's output.

    Raises:
        BadOutput: there are none.
    """
    scores = scores_of(output, model)
    if not isinstance(scores, Tensor) or scores.ndim != 4 or not scores.is_floating_point():
        raise BadOutput(
            f"Expected scores of every pixel [batch, class, row, column] from {model.name}, got {described(scores)}. "
            "Name the part to read with pellucid.wrap(module, output=...) (--part PATH), or pass a callable as target."
        )
    return scores


@dataclass(frozen=True, eq=False)
class Region:
    """The mean score of a class, before softmax, over a part of the picture.

    The part is a mask, a box or a point in pixels of the picture as it was given, one for all pictures or one each.
    Without any it is where the model itself sees the class in the picture as it is, and stays there.

    Attributes:
        classes: an index or name, or one per picture; None is the class that fills most of the part.
        mask: true where the part is, `[row, column]`.
        box: left, top, right, bottom; the pixels whose centres it covers.
        point: x and y, that is column and row; the one pixel that it lies in.
        where: the part in words, one text per picture; filled in when the target is fit to the pictures.
    """

    classes: Any = None
    mask: Any = None
    box: Any = None
    point: Any = None
    where: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given = [name for name in ("mask", "box", "point") if getattr(self, name) is not None]
        if len(given) > 1:
            raise BadOption(f"Expected a mask, a box or a point as part of the picture, got {' and '.join(given)}.")
        if self.classes is not None:
            object.__setattr__(self, "classes", listed(self.classes))

    def fit(self, scene: TargetContext) -> Target:
        frames, count = scene.frames, len(scene.frames)
        classes = None if self.classes is None else fit_classes(self.classes, scene)
        found = masks(self.mask, self.box, self.point, frames)
        where = ("where the model sees it",) * count
        if self.mask is not None:
            where = ("in the given mask",) * count
        elif self.box is not None:
            where = tuple(f"in {written(box)}" for box in boxes(self.box, count))
        elif self.point is not None:
            where = tuple(f"at {written(point)}" for point in points(self.point, count))
        return Region(classes and classes * (count // len(classes)), found, where=where)

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        if self.classes is not None and self.mask is not None:
            return self
        if self.classes is None and self.mask is None:
            return reading.top(0, model)
        if self.mask is None:
            return reading.of(Logit(self.classes), model)
        if not isinstance(reading, PixelClasses):
            raise BadOutput(
                f"{model.name} does not score every pixel, so a part of the picture has no class of its own."
            )
        return replace(self, classes=reading.most(self.mask))

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        scores = pixel_scores(output, model)
        classes = torch.tensor(self.classes, device=scores.device)
        for index in (int(classes.min()), int(classes.max())):
            if not 0 <= index < scores.shape[1]:
                raise BadOption(f"Class {index} is out of range: {model.name} has {scores.shape[1]} classes, from 0.")
        own = scores[torch.arange(len(scores), device=scores.device), classes[samples]]
        weights = on_grid(self.mask.to(scores.device)[samples], (own.shape[1], own.shape[2])).to(own.dtype)
        return (own * weights).sum((1, 2)) / weights.sum((1, 2))

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        names = [model.class_name(c) for c in self.classes] if self.classes is not None else ["top class"] * len(frames)
        return tuple(f"{name} {where}" for name, where in zip(names, self.where, strict=True))


def on_grid(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """How much of each cell of a grid a mask `[n, row, column]` covers, 0 to 1."""
    weights = mask.float()
    return weights if weights.shape[1:] == size else F.interpolate(weights[:, None], size, mode="area")[:, 0]


@dataclass(frozen=True, eq=False)
class PixelClasses:
    """Reading of a network that scores every pixel.

    Attributes:
        winners: the class with the highest score, `[n, row, column]`. A lone class wins where its probability
            is above 1/2 (a score above 0); -1 where nothing does.
        shares: of the picture that each class wins, `[n, class]`.
        scores: mean score of each class where it wins, `[n, class]`; 0 where it wins nothing.
        chances: its mean probability there, as the kind of output has it, `[n, class]`; NaN where there is none.
        samples: which pictures the entries are of; others are empty.
    """

    winners: Tensor
    shares: Tensor
    scores: Tensor
    chances: Tensor
    samples: tuple[int, ...]
    leading = "the class that fills most of each picture"

    @classmethod
    def of_scores(cls, scores: Tensor, model: Model) -> PixelClasses:
        """From the scores `[n, class, row, column]` of a model."""
        scores = full_precision(scores.detach())
        best, winners = scores.max(1)
        chance = _chance(best, scores, model)
        if scores.shape[1] == 1:
            winners = winners.masked_fill(chance <= 0.5, -1)
        empty, seen = scores.new_zeros(scores.shape[:2]), winners >= 0

        def by_class(values: Tensor) -> Tensor:
            return empty.scatter_add(1, winners.clamp(min=0).flatten(1), (values * seen).flatten(1))

        count = by_class(torch.ones_like(best))
        shown = count.clamp(min=1)
        share = count / best[0].numel()
        return cls(winners, share, by_class(best) / shown, by_class(chance) / shown, tuple(range(len(scores))))

    def first(self, count: int) -> PixelClasses:
        return self._with([t[:count] for t in self._tensors], self.samples[:count])

    def placed(self, samples: Tensor) -> PixelClasses:
        size = int(samples.max()) + 1

        def place(t: Tensor) -> Tensor:
            return t.new_full((size, *t.shape[1:]), -1).index_copy(0, samples, t)

        return self._with([place(t) for t in self._tensors], samples.tolist())

    def join(self, others: Sequence[PixelClasses]) -> PixelClasses:
        together = zip(self._tensors, *(other._tensors for other in others), strict=True)
        joined = [torch.cat(parts) for parts in together]
        return self._with(joined, range(len(joined[0])))

    @staticmethod
    def _with(tensors: Sequence[Tensor], samples: Sequence[int]) -> PixelClasses:
        winners, shares, scores, chances = tensors
        return PixelClasses(winners, shares, scores, chances, tuple(samples))

    @property
    def _tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.winners, self.shares, self.scores, self.chances

    def finite(self) -> bool:
        return bool(self.scores.isfinite().all())

    def top(self, rank: int, model: Model) -> Target:
        order, classes = self._order(model), [0] * len(self.winners)
        for k in self.samples:
            if rank >= len(order[k]):
                seen = f"{len(order[k])} class{'es' * (len(order[k]) > 1)}" if order[k] else "nothing"
                raise BadOption(f"There is no rank {rank + 1}: {model.name} sees {seen} in picture {k}.")
            classes[k] = order[k][rank]
        return self._region(classes)

    def of(self, target: Logit, model: Model) -> Target:
        if type(target) is not Logit:
            raise BadOutput(
                f"{model.name} scores every pixel; its target is a class or a Region of one, not {target!r}."
            )
        if target.classes is None:
            return self.top(0, model)
        count = len(self.winners)
        classes = [class_index(c, model) for c in target.classes] * (count if len(target.classes) == 1 else 1)
        for k in self.samples:
            if not bool((self.winners[k] == classes[k]).any()):
                raise BadOption(
                    f"{model.name} sees {model.class_name(classes[k])!r} nowhere in picture {k}. Say where to look for "
                    "it: a Region with a mask, a box or a point."
                )
        return self._region(classes)

    def _region(self, classes: Sequence[int]) -> Target:
        wanted = torch.tensor(classes, device=self.winners.device)
        mask = self.winners == wanted[:, None, None]
        return Region(tuple(classes), mask, where=("where the model sees it",) * len(classes))

    def most(self, mask: Tensor) -> tuple[int, ...]:
        """The class that wins most of a part `[n, row, column]` of each picture."""
        weights = on_grid(mask.to(self.winners.device), (self.winners.shape[1], self.winners.shape[2]))
        count = self.shares.new_zeros(self.shares.shape)
        for k in self.samples:
            seen = weights[k] * (self.winners[k] >= 0)
            count[k].index_add_(0, self.winners[k].clamp(min=0).flatten(), seen.flatten().to(count))
        return tuple(count.argmax(1).tolist())

    def _order(self, model: Model) -> list[list[int]]:
        """The classes seen in each picture, by area; background comes last."""
        order = self.shares.sort(dim=1, descending=True, stable=True).indices.tolist()
        seen = [[c for c in row if share[c] > 0] for row, share in zip(order, self.shares.tolist(), strict=True)]
        return [sorted(row, key=lambda c: model.class_name(c).lower() in BACKGROUND) for row in seen]

    def predictions(self, model: Model, frames: Sequence[Frame], most: int) -> tuple[tuple[Prediction, ...], ...]:
        return tuple(
            tuple(
                Prediction(
                    c,
                    model.class_name(c),
                    float(score[c]),
                    float(chance[c]) if has_probabilities(model) else None,
                    float(share[c]),
                )
                for c in row[:most]
            )
            for row, score, chance, share in zip(
                self._order(model), self.scores, self.chances, self.shares, strict=True
            )
        )


def _chance(best: Tensor, scores: Tensor, model: Model) -> Tensor:
    """The probability of the winner `[n, row, column]` of scores `[n, class, row, column]`; NaN where it has none."""
    if not has_probabilities(model):
        return torch.full_like(best, torch.nan)
    if model.answers not in ("", "classes"):
        return probabilities(best, model)
    if scores.shape[1] == 1:  # a lone map of scores is a mask before its sigmoid
        return best.sigmoid()
    return (best - scores.logsumexp(1)).exp()  # the softmax of the winner, without those of all others
