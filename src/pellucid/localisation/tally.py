"""Numbers of many pictures, and the scores that they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pellucid.contracts import Box
from pellucid.evaluation.bootstrap import mean_and_interval
from pellucid.localisation.located import Located
from pellucid.localisation.truth import Thing, Truth
from pellucid.localisation.whole_map import WholeMap
from pellucid.metrics._truth import THRESHOLDS, best_overlaps, overlaps
from pellucid.metrics.max_box_acc_v2 import OVERLAPS
from pellucid.metrics.pointing_game import hit
from pellucid.numerics import Mask
from pellucid.seeds import TORCH, seed_below

_ENOUGH = 0.5


_BINS = 1000


_TOLERANCE = 15.0


_DRAWS = 500


_CENTRES = tuple(k / 10 for k in range(3, 11))
"""Sides of the centre box that are tried, as shares of the picture's."""


@dataclass(frozen=True)
class Number:
    """A score of many pictures.

    Attributes:
        mean: over the pictures, or over what the score counts.
        interval: its 95 % bootstrap interval over pictures; None for PxAP, whose pixels are pooled.
        count: how many numbers it rests on.
    """

    mean: float
    interval: tuple[float, float] | None = None
    count: int = 0


@dataclass(frozen=True)
class Report:
    """How well one method locates.

    Attributes:
        scores: by name, in the order in which they are printed. Errors and accuracies are shares, 0 to 1.
        threshold: the share of a map's maximum that was best on the held-out pictures; None: none was chosen.
        centre: the side of the centre box that was best there, as a share of the picture's.
        judged, held_out: numbers of pictures.
        notes: what the reader must know.
    """

    scores: dict[str, Number]
    threshold: float | None
    centre: float
    judged: int
    held_out: int
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**vars(self), "scores": {name: vars(number) for name, number in self.scores.items()}}


@dataclass(frozen=True, eq=False)
class FoundBoxes:
    """What was located in a picture: for the top classes, best first, and for each group of its things."""

    ranked: Sequence[Located]
    known: Sequence[tuple[tuple[Thing, ...], Located]]


@dataclass
class Tally:
    """Numbers of many pictures."""

    right: dict[str, list[float]] = field(default_factory=dict)
    shares: list[NDArray[np.float64]] = field(default_factory=list)
    centres: list[NDArray[np.float64]] = field(default_factory=list)
    single: list[NDArray[np.float64]] = field(default_factory=list)
    parts: list[NDArray[np.float64]] = field(default_factory=list)
    pointing: dict[str, dict[tuple[int, ...], list[float]]] = field(default_factory=dict)
    inside: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_BINS + 1))
    outside: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_BINS + 1))
    masks: int = 0

    def add(self, truth: Truth, found: FoundBoxes, threshold: float | None, centre: float) -> None:
        """Count one picture."""
        size = found.ranked[0].size
        guesses: dict[str, list[Box | None]] = {
            "": [each.box for each in found.ranked],
            "centre box: ": [_centre(size, centre)] * len(found.ranked),
        }
        if threshold is not None:
            guesses["threshold chosen: "] = [WholeMap(each).box(threshold) for each in found.ranked]
        for who, boxes in guesses.items():
            hits = [_is_right(box, truth, each.label) for box, each in zip(boxes, found.ranked, strict=True)]
            self._note(f"{who}top-1 localisation error", not hits[0])
            self._note(f"{who}top-5 localisation error", not any(hits))
        labels = {label for thing in truth.things for label in thing.labels}
        self._note("top-1 classification error", found.ranked[0].label not in labels)
        for things, located in found.known:
            self._known(things, located, threshold, centre, several=len(found.known) > 1)

    def _known(
        self, things: Sequence[Thing], located: Located, threshold: float | None, centre: float, *, several: bool
    ) -> None:
        canvas, truth = WholeMap(located), np.array([thing.box for thing in things])
        self._note("error with the class known", not _overlap(located.box, truth) >= _ENOUGH)
        self._note(
            "centre box: error with the class known", not _overlap(_centre(located.size, centre), truth) >= _ENOUGH
        )
        if threshold is not None:
            self._note(
                "threshold chosen: error with the class known", not _overlap(canvas.box(threshold), truth) >= _ENOUGH
            )
        self.centres.append(np.array([_overlap(_centre(located.size, share), truth) for share in _CENTRES]))
        boxes = truth * canvas.scale
        self.shares.append(best_overlaps(canvas.share_of_maximum, boxes))
        self.single.append(best_overlaps(canvas.stretched, boxes))
        self.parts.append(best_overlaps(canvas.stretched, boxes, parts=None))
        masks = [thing.mask(located.size) for thing in things]
        if all(thing.drawn is not None for thing in things):
            self._pixels(canvas, np.any(masks, 0))
        if not all(thing.difficult for thing in things):
            hard = several and sum(_area(thing.box) for thing in things) < located.size[0] * located.size[1] / 4
            self._point(things[0].labels, canvas, np.any(masks, 0), hard=hard)

    def _note(self, name: str, value: float) -> None:
        self.right.setdefault(name, []).append(float(value))

    def _pixels(self, canvas: WholeMap, mask: Mask) -> None:
        rows, columns = canvas.stretched.shape
        small = np.asarray(Image.fromarray(mask).resize((columns, rows), Image.Resampling.NEAREST))
        bins = np.floor(canvas.stretched * _BINS).astype(int)
        self.inside += np.bincount(bins[small], minlength=_BINS + 1)
        self.outside += np.bincount(bins[~small], minlength=_BINS + 1)
        self.masks += 1

    def _point(self, labels: tuple[int, ...], canvas: WholeMap, mask: Mask, *, hard: bool) -> None:
        centres = torch.from_numpy(np.argwhere(mask))
        points = {"": hit(canvas.at_full_size(), centres, _TOLERANCE)}
        middle = torch.zeros(mask.shape)
        middle[mask.shape[0] // 2, mask.shape[1] // 2] = 1
        points["centre: "] = hit(middle, centres, _TOLERANCE)
        for who, value in points.items():
            for name in ("pointing game", *(("pointing game, difficult set",) if hard else ())):
                self.pointing.setdefault(f"{who}{name}", {}).setdefault(labels, []).append(float(value))

    def best_threshold(self) -> float:
        """The share of the maximum whose boxes are right most often."""
        return THRESHOLDS[int((np.array(self.shares) >= _ENOUGH).mean(0).argmax())]

    def best_centre(self) -> float:
        """The side of the centre box that is right most often."""
        return _CENTRES[int((np.array(self.centres) >= _ENOUGH).mean(0).argmax())]

    @property
    def pictures(self) -> int:
        """How many were counted."""
        return len(self.right.get("top-1 classification error", ()))

    def report(self, threshold: float | None, centre: float, held_out: int, notes: Sequence[str], seed: int) -> Report:
        """What all pictures so far come to."""
        return Report(self._scores(seed), threshold, centre, self.pictures, held_out, tuple(notes))

    def _scores(self, seed: int) -> dict[str, Number]:
        found = {name: _mean(values, seed) for name, values in self.right.items()}
        single, parts = np.array(self.single), np.array(self.parts)
        found["MaxBoxAcc"] = _resampled(lambda chosen: _best_share(single[chosen], (_ENOUGH,)), len(single), seed)
        found["MaxBoxAccV2"] = _resampled(lambda chosen: _best_share(parts[chosen], OVERLAPS), len(parts), seed)
        if self.masks:
            found["PxAP"] = Number(_average_precision(self.inside, self.outside), None, self.masks)
        for name, classes in self.pointing.items():
            hits = np.array([hit for each in classes.values() for hit in each])
            numbers = np.repeat(np.arange(len(classes)), [len(each) for each in classes.values()])
            found[name] = _resampled(partial(_mean_over, hits, numbers), len(hits), seed)
        return found


def _is_right(box: Box | None, truth: Truth, label: int | None) -> bool:
    boxes = [thing.box for thing in truth.things if label in thing.labels]
    return bool(boxes) and _overlap(box, np.array(boxes)) >= _ENOUGH


def _overlap(box: Box | None, truth: NDArray[np.float64]) -> float:
    return 0.0 if box is None else float(overlaps(np.array([box]), truth).max())


def _centre(size: tuple[int, int], share: float) -> Box:
    rows, columns = size
    return columns * (1 - share) / 2, rows * (1 - share) / 2, columns * (1 + share) / 2, rows * (1 + share) / 2


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _mean(values: Sequence[float], seed: int) -> Number:
    mean, interval = mean_and_interval(torch.tensor(values, dtype=torch.float64), seed)
    return Number(mean, interval, len(values))


def _best_share(overlap: NDArray[np.float64], enough: Sequence[float]) -> float:
    """The best mean over pictures that a threshold reaches, averaged over the overlaps that are asked for."""
    return float(np.mean([(overlap >= least).mean(0).max() for least in enough]))


def _mean_over(every: NDArray[np.float64], numbers: NDArray[np.int64], chosen: NDArray[np.int64]) -> float:
    """The mean over the classes of each class's mean, over those that were chosen."""
    hits, classes = every[chosen], numbers[chosen]
    counts = np.bincount(classes)
    return float((np.bincount(classes, hits)[counts > 0] / counts[counts > 0]).mean())


def _resampled(statistic: Callable[[NDArray[np.int64]], float], count: int, seed: int) -> Number:
    """A number that is no plain mean, with the percentile bootstrap interval of its 95 % (Efron 1979)."""
    value = statistic(np.arange(count))
    if count < 2:
        return Number(value, None, count)
    rng = np.random.default_rng(seed_below(TORCH, seed))
    drawn = [statistic(rng.integers(0, count, count)) for _ in range(_DRAWS)]
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return Number(value, (low, high), count)


def _average_precision(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    right, wrong = inside[::-1].cumsum(), outside[::-1].cumsum()
    precision = right / np.maximum(right + wrong, 1)
    return float((precision * np.diff(np.concatenate([[0], right]))).sum() / max(right[-1], 1))
