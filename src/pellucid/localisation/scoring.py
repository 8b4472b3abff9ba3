"""How well a method locates, on pictures with known boxes: the protocols of weakly supervised localisation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pellucid.api import explain
from pellucid.contracts import Box, Model
from pellucid.errors import BadOption, BadPicture, BadSite, Cancelled, TraceLeft, UnknownName
from pellucid.evaluation.bootstrap import mean_and_interval
from pellucid.jobs.run import in_words
from pellucid.localisation.localisation import locate
from pellucid.localisation.located import Located
from pellucid.localisation.truth import Thing, Truth
from pellucid.metrics._truth import THRESHOLDS, best_overlaps, overlaps
from pellucid.metrics.max_box_acc_v2 import OVERLAPS
from pellucid.metrics.pointing_game import hit
from pellucid.numerics import Mask, boxes_of_parts, resize
from pellucid.pictures.decode import orientation_of
from pellucid.seeds import TORCH, seed_below

_ENOUGH = 0.5
_BINS = 1000
_TOLERANCE = 15.0
_FEWEST = 5
"""Held-out pictures below this number choose nothing."""
_UNTRIED = 0.7
"""Side of the centre box where nothing is held out to choose it: half of the picture's area."""
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


def score(
    model: Model,
    pictures: Sequence[tuple[Any, Truth]],
    method: str = "grad-cam",
    *,
    held_out: float | Collection[str] = 0.2,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
    **how: Any,
) -> Report:
    """Locate in pictures with known boxes, and say how well it went.

    For each picture the five top classes are located, each by its own map. A picture counts as right at rank 1 (5) if
    the first (any) of them is a class of the picture and its box overlaps one of that class's boxes by half, areas of
    intersection over union. All other scores are of the map of the true class: of each class for pictures with several.

    MaxBoxAcc and MaxBoxAccV2 are the best means that any threshold reaches (arXiv:2001.07437, arXiv:2007.04178; boxes
    by their areas, thresholds in steps of 0.01). PxAP pools the pixels of all pictures in 1,000 steps; it needs masks.
    The pointing game allows 15 pixels, leaves out classes of a picture whose things are all marked difficult, and is
    the mean over classes; its difficult set are the pairs whose things cover less than a quarter of the picture beside
    another class (arXiv:1608.00507). What the model does not see of a picture counts as found nowhere.

    Args:
        model: with class names.
        pictures: pairs of a picture, as `locate` takes it, and what is known about it, `Annotations.matched`.
        method: id.
        held_out: share of the pictures, chosen by their names, that only serve to choose a threshold and the size of
            the centre box; nothing else is measured on them. 0 chooses none. Or the names of these pictures.
        seed: of all random draws and the bootstrap.
        progress: called with (what, pictures done, pictures in all).
        how: passed on to `locate`.

    Raises:
        BadOption: no picture has a thing of a known class, or the share is none.
        BadPicture: not one of them can be read; single ones are left out with a note.
        Cancelled: stopped; `finished` is the `Report` of the pictures that were scored, if any.
    """
    if isinstance(held_out, int | float) and not 0 <= held_out < 1:
        raise BadOption(f"Expected a share from 0 to below 1 to hold out, got {held_out}.")
    usable = [(picture, truth) for picture, truth in pictures if any(thing.labels for thing in truth.things)]
    if not usable:
        raise BadOption("None of the pictures has a thing of a known class, so there is nothing to compare with.")
    order = sorted(usable, key=lambda pair: hashlib.sha256(pair[1].name.encode()).digest())
    if isinstance(held_out, int | float):
        count = round(held_out * len(order))
        count = count if count >= _FEWEST else 0
        chosen, rest = order[:count], order[count:]  # not by name: in other folders there may be others of that name
    else:
        chosen, rest = ([p for p in order if (p[1].name in set(held_out)) == wanted] for wanted in (True, False))
    done = 0

    notes: list[str] = []

    def every(pairs: Sequence[tuple[Any, Truth]], what: str) -> Iterator[tuple[Truth, _Found]]:
        nonlocal done
        for picture, written in pairs:
            done += 1
            try:
                found = _look(model, picture, written, method, {"seed": seed, **how})
            except (KeyboardInterrupt, TraceLeft):
                raise
            except BaseException as error:  # nothing that one picture raises may stop the others
                if isinstance(error, BadOption | BadSite | UnknownName) and not tuning.pictures + tally.pictures:
                    raise  # the call is wrong, not this picture
                notes.append(f"Left out: {in_words(error, str(picture))}")
                continue
            yield found
            if progress:
                progress(what, done, len(order))

    if held_out and not chosen:
        notes.append(f"Too few pictures ({len(order)}) to hold some out: no threshold was chosen.")
    if len(usable) < len(pictures):
        notes.append(f"{len(pictures) - len(usable)} pictures without a thing of a known class were left out.")
    tuning, tally = _Tally(), _Tally()
    threshold, centre = None, _UNTRIED
    try:
        for truth, found in every(chosen, "choosing a threshold"):
            tuning.add(truth, found, None, centre)
        if tuning.pictures:
            threshold = tuning.best_threshold() if how.get("by", "threshold") == "threshold" else None
            centre = tuning.best_centre()
        for truth, found in every(rest, "scoring"):
            tally.add(truth, found, threshold, centre)
    except KeyboardInterrupt as stop:
        said = f"Interrupted: {tally.pictures} of {len(rest)} pictures are scored."
        finished = tally.report(threshold, centre, tuning.pictures, [*notes, said], seed) if tally.pictures else None
        raise Cancelled(said, finished) from stop
    if not tally.pictures:
        raise BadPicture(f"None of the {len(rest)} pictures can be read. {notes[-1]}")
    return tally.report(threshold, centre, tuning.pictures, notes, seed)


@dataclass(frozen=True, eq=False)
class _Found:
    """What was located in a picture: for the top classes, best first, and for each group of its things."""

    ranked: Sequence[Located]
    known: Sequence[tuple[tuple[Thing, ...], Located]]


def _by_class(truth: Truth) -> list[tuple[Thing, ...]]:
    """The things of each of the model's classes."""
    groups: dict[tuple[int, ...], list[Thing]] = {}
    for thing in truth.things:
        if thing.labels:
            groups.setdefault(thing.labels, []).append(thing)
    return [tuple(things) for things in groups.values()]


def _look(model: Model, picture: Any, written: Truth, method: str, how: dict[str, Any]) -> tuple[Truth, _Found]:
    """What is known about a picture, and what is found for its classes and the network's."""
    classes = min(5, len(explain(model, picture, []).predictions[0]))
    ranked = locate(model, picture, method, f"top{classes}", **how).pictures[0]
    truth = written.on(ranked[0].size, orientation_of(picture))
    known = []
    for things in _by_class(truth):
        seen = next((each for each in ranked if each.label in things[0].labels), None)
        known.append((things, seen or locate(model, picture, method, things[0].labels[0], **how)[0]))
    return truth, _Found(ranked, known)


@dataclass
class _Tally:
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

    def add(self, truth: Truth, found: _Found, threshold: float | None, centre: float) -> None:
        """Count one picture."""
        size = found.ranked[0].size
        guesses: dict[str, list[Box | None]] = {
            "": [each.box for each in found.ranked],
            "centre box: ": [_centre(size, centre)] * len(found.ranked),
        }
        if threshold is not None:
            guesses["threshold chosen: "] = [_Canvas(each).box(threshold) for each in found.ranked]
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
        canvas, truth = _Canvas(located), np.array([thing.box for thing in things])
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

    def _pixels(self, canvas: _Canvas, mask: Mask) -> None:
        rows, columns = canvas.stretched.shape
        small = np.asarray(Image.fromarray(mask).resize((columns, rows), Image.Resampling.NEAREST))
        bins = np.floor(canvas.stretched * _BINS).astype(int)
        self.inside += np.bincount(bins[small], minlength=_BINS + 1)
        self.outside += np.bincount(bins[~small], minlength=_BINS + 1)
        self.masks += 1

    def _point(self, labels: tuple[int, ...], canvas: _Canvas, mask: Mask, *, hard: bool) -> None:
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


class _Canvas:
    """A map over its whole picture, at the scale at which the model sees it; what it does not see is 0."""

    def __init__(self, located: Located) -> None:
        self.size = located.size
        left, top, right, bottom = located.seen
        rows, columns = located.values.shape
        across, down = columns / (right - left), rows / (bottom - top)
        shape = max(rows, round(located.size[0] * down)), max(columns, round(located.size[1] * across))
        self.scale = np.array([shape[1] / located.size[1], shape[0] / located.size[0]] * 2)
        y, x = min(round(top * down), shape[0] - rows), min(round(left * across), shape[1] - columns)
        self.place = (slice(y, y + rows), slice(x, x + columns))
        finite = np.isfinite(located.values).all()
        self.values, self.shape = (located.values if finite else np.zeros((rows, columns))), shape

    def _on(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = np.zeros(self.shape)
        whole[self.place] = values
        return whole

    @property
    def stretched(self) -> NDArray[np.float64]:
        """From 0 to 1, the smallest and largest value; 0 for a map that is the same everywhere."""
        low, high = self.values.min(), self.values.max()
        return self._on((self.values - low) / (high - low) if high > low else self.values * 0)

    @property
    def share_of_maximum(self) -> NDArray[np.float64]:
        """Positive values as shares of the largest; 0 for maps that point at nothing."""
        low, high = self.values.min(), self.values.max()
        return self._on(np.clip(self.values / high, 0, None) if high > 0 and high > low else self.values * 0)

    def box(self, threshold: float) -> Box | None:
        """Around the largest part above a share of the maximum, in pixels of the picture."""
        drawn = boxes_of_parts(self.share_of_maximum > threshold, 1)
        if not drawn:
            return None
        left, top, right, bottom = (np.array(drawn[0]) / self.scale).tolist()
        return left, top, right, bottom

    def at_full_size(self) -> torch.Tensor:
        """The stretched map in pixels of the picture."""
        return resize(torch.from_numpy(self.stretched)[None], self.size)[0]


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
