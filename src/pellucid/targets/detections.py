"""Targets of detectors: the score of a class for a box, before suppression.

In one file, since a target follows one box through everything that a detector's output can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.contracts import Box, Frame, Model, Prediction, Scores
from pellucid.errors import BadOption, BadOutput, Refused
from pellucid.numerics import full_precision
from pellucid.targets.base import Interpretation, Target, TargetContext
from pellucid.targets.class_names import class_index, fit_classes, listed
from pellucid.targets.classes import Logit
from pellucid.targets.outputs import described, picked
from pellucid.targets.places import boxes, written
from pellucid.wording import counted

OVERLAP = 0.5
"""Intersection over union from which a candidate counts as one for the box."""
REPORTED = 0.05
"""Probability from which a candidate is reported, where the detector itself does not say what it reports."""


@dataclass(frozen=True)
class DetectedObjects:
    """What a detector reports about one picture, after suppression, most probable first.

    Attributes:
        boxes: `[detection, 4]`, left, top, right, bottom in pixels of the model's input.
        classes: `[detection]`.
        chances: probability of the class, `[detection]`.
    """

    boxes: Tensor
    classes: Tensor
    chances: Tensor


@dataclass(frozen=True, eq=False)
class Candidates:
    """The output of a detector before suppression: every box that it considers, row by row.

    A network of your own gives one of these through `pellucid.wrap(module, call=...)` or `output=...`.

    Attributes:
        scores: scores of each class before softmax or sigmoid, `[candidate, class]`, one tensor per row.
        chances: the probabilities that the detector makes of them, of the same shape.
        boxes: `[candidate, 4]`, or `[candidate, class, 4]` where every class has its own; left, top, right, bottom in
            pixels of the model's input.
        background: index of the class that stands for no object, if there is one.
        report: what the detector itself reports of each row; None leaves the choice to a plain suppression.
    """

    scores: Sequence[Tensor]
    chances: Sequence[Tensor]
    boxes: Sequence[Tensor]
    background: int | None = None
    report: Callable[[], Sequence[DetectedObjects]] | None = None

    def best(self, row: int, index: int, box: Tensor) -> int:
        """The candidate of a class that stands for a box `[4]`.

        Of those that overlap it by half (or, where none does, by most) the one with the largest product of overlap and
        probability, the similarity of D-RISE (arXiv:2006.03204, eq. 4) for one class.

        Raises:
            Refused: none overlaps it at all.
        """
        own = self.boxes_of(row, index)
        overlap = overlaps(own, box.to(own)) if len(own) else own.new_zeros(1)
        most = float(overlap.max())
        if most == 0:
            raise Refused(f"The detector considers no box that overlaps {written(rounded(box.tolist()))}.")
        enough = overlap >= min(OVERLAP, most)
        return int((overlap * self.chances[row][:, index].detach()).masked_fill(~enough, -1).argmax())

    def boxes_of(self, row: int, index: int) -> Tensor:
        """The candidates' boxes for a class, `[candidate, 4]`."""
        found = self.boxes[row].detach()
        return found if found.ndim == 2 else found[:, index if found.shape[1] > 1 else 0]


def overlaps(found: Tensor, box: Tensor) -> Tensor:
    """Intersection over union of boxes `[n, 4]` with one box `[4]`."""
    low, high = torch.maximum(found[:, :2], box[:2]), torch.minimum(found[:, 2:], box[2:])
    shared = (high - low).clamp(min=0).prod(1)
    return shared / (_area(found) + _area(box[None]) - shared).clamp(min=torch.finfo(shared.dtype).tiny)


def _area(found: Tensor) -> Tensor:
    return (found[:, 2:] - found[:, :2]).clamp(min=0).prod(1)


def rounded(box: Sequence[float]) -> tuple[float, ...]:
    """A box to a tenth of a pixel, for people."""
    return tuple(round(edge, 1) for edge in box)


def candidates(output: Any, model: Model) -> Candidates:
    """The candidates in a model's output.

    Raises:
        BadOutput: there are none.
    """
    found = picked(output, model)
    if not isinstance(found, Candidates):
        raise BadOutput(
            f"Expected the candidates of a detector from {model.name}, got {described(found)}. torchvision's detectors "
            "are read by themselves; others give them with pellucid.wrap(module, call=...), in "
            "a factory (--model FILE.py:FACTORY) or anywhere else."
        )
    return found


@dataclass(frozen=True, eq=False)
class Detection:
    """The score of a class, before softmax or sigmoid and before suppression, for a box.

    Read from the candidate that stands for the box (`Candidates.best`). For a box that the detector reports that is the
    very candidate whose score it reports, unless a stronger one nearly like it was suppressed by a third. The detector
    considers boxes anew for every changed picture, and the best is looked for among them each time; gradients take
    the boxes as given.

    Attributes:
        classes: an index or name, or one per picture; None is the class of the detection nearest to the box.
        box: left, top, right, bottom in pixels of the picture as it was given, or one per picture; None is the box of
            the most probable candidate of the class in the picture as it is.
        places: the boxes in pixels of the model's input; filled in when the target is fit to the pictures.
    """

    classes: Any = None
    box: Any = None
    places: tuple[Box, ...] | None = None

    def __post_init__(self) -> None:
        if self.classes is not None:
            object.__setattr__(self, "classes", listed(self.classes))

    def fit(self, scene: TargetContext) -> Target:
        frames, count = scene.frames, len(scene.frames)
        classes = None if self.classes is None else fit_classes(self.classes, scene)
        if self.box is None:
            return Detection(classes)
        pairs = zip(boxes(self.box, count), frames, strict=True)
        return Detection(classes and classes * (count // len(classes)), None, tuple(f.into(box) for box, f in pairs))

    def resolve(self, reading: Interpretation, model: Model) -> Target:
        if self.classes is not None and self.places is not None:
            return self
        if self.places is None:
            return reading.top(0, model) if self.classes is None else reading.of(Logit(self.classes), model)
        if not isinstance(reading, Detections):
            raise BadOutput(f"{model.name} is no detector that is understood, so it detects nothing in a box.")
        return Detection(reading.nearest(self.places, model), None, self.places)

    def score(self, output: Any, samples: Tensor, model: Model) -> Scores:
        found = candidates(output, model)
        if len(found.scores) != len(samples):
            raise BadOutput(f"Expected candidates for {len(samples)} rows from {model.name}, got {len(found.scores)}.")
        return torch.stack([self._score(found, row, k, model) for row, k in enumerate(samples.tolist())])

    def _score(self, found: Candidates, row: int, k: int, model: Model) -> Tensor:
        scores, index = found.scores[row], (self.classes or ())[k]
        if not 0 <= index < scores.shape[1]:
            raise BadOption(f"Class {index} is out of range: {model.name} has {scores.shape[1]} classes, from 0.")
        box = torch.tensor((self.places or ())[k], dtype=torch.float64)
        return scores[found.best(row, index, box), index]

    def labels(self, model: Model, frames: Sequence[Frame]) -> tuple[str, ...]:
        names = [model.class_name(c) for c in self.classes or ()] or ["detection"] * len(frames)
        if self.places is None:
            return tuple(names)
        texts = [written(rounded(frame.back(box))) for frame, box in zip(frames, self.places, strict=True)]
        return tuple(f"{name} in {text}" for name, text in zip(names, texts, strict=True))


@dataclass(frozen=True)
class _OfPicture:
    """Reading of one picture: what is reported with the scores behind it, and each class's most probable candidate."""

    found: DetectedObjects
    scores: Tensor
    best: Tensor
    finite: bool


@dataclass(frozen=True, eq=False)
class Detections:
    """Reading of a detector, by number of the picture."""

    pictures: dict[int, _OfPicture]
    leading = "the most probable object in each picture"

    @classmethod
    def of_output(cls, output: Candidates) -> Detections:
        """From the candidates of a pass."""
        reports = output.report() if output.report else [_suppressed(output, row) for row in range(len(output.scores))]
        return cls({row: _read(output, row, found) for row, found in enumerate(reports)})

    def first(self, count: int) -> Detections:
        return Detections({k: self.pictures[k] for k in range(count)})

    def placed(self, samples: Tensor) -> Detections:
        return Detections({k: self.pictures[row] for row, k in enumerate(samples.tolist())})

    def join(self, others: Sequence[Detections]) -> Detections:
        together = [entry for reading in (self, *others) for entry in reading.pictures.values()]
        return Detections(dict(enumerate(together)))

    def finite(self) -> bool:
        return all(entry.finite for entry in self.pictures.values())

    def top(self, rank: int, model: Model) -> Target:
        def pick(k: int, entry: _OfPicture) -> tuple[int, Tensor]:
            count = len(entry.found.classes)
            if rank >= count:
                things = counted(count, "thing") if count else "nothing"
                raise BadOption(
                    f"There is no detection {rank + 1}: {model.name} detects {things} in picture {k}. Name a class, or "
                    "a class and a box: its score is there whether it is reported or not."
                )
            return int(entry.found.classes[rank]), entry.found.boxes[rank]

        return self._target(pick)

    def of(self, target: Any, model: Model) -> Target:
        if type(target) is not Logit:
            raise BadOutput(f"{model.name} detects objects; its target is a class or a Detection, not {target!r}.")
        if target.classes is None:
            return self.top(0, model)
        classes = [class_index(c, model) for c in target.classes]

        def pick(k: int, entry: _OfPicture) -> tuple[int, Tensor]:
            index = classes[k if len(classes) > 1 else 0]
            if not 0 <= index < len(entry.best):
                raise BadOption(f"Class {index} is out of range: {model.name} has {len(entry.best)} classes, from 0.")
            return index, entry.best[index]

        return self._target(pick)

    def nearest(self, places: Sequence[Box], model: Model) -> tuple[int, ...]:
        """Class of the detection that overlaps each picture's box most.

        Raises:
            BadOption: none overlaps it.
        """
        classes = [0] * len(places)
        for k, entry in self.pictures.items():
            found, box = entry.found, torch.tensor(places[k], dtype=torch.float64)
            overlap = overlaps(found.boxes, box.to(found.boxes)) if len(found.boxes) else found.boxes.new_zeros(1)
            if float(overlap.max()) == 0:
                raise BadOption(f"{model.name} detects nothing in that box of picture {k}. Say which class to explain.")
            classes[k] = int(found.classes[overlap.argmax()])
        return tuple(classes)

    def _target(self, pick: Callable[[int, _OfPicture], tuple[int, Tensor]]) -> Target:
        count = max(self.pictures) + 1
        classes, places = [0] * count, [(0.0, 0.0, 0.0, 0.0)] * count
        for k, entry in self.pictures.items():
            classes[k], box = pick(k, entry)
            left, top, right, bottom = box.tolist()
            places[k] = (left, top, right, bottom)
        return Detection(tuple(classes), None, tuple(places))

    def predictions(self, model: Model, frames: Sequence[Frame], most: int) -> tuple[tuple[Prediction, ...], ...]:
        def of_picture(entry: _OfPicture, frame: Frame) -> tuple[Prediction, ...]:
            found = entry.found
            columns = (found.classes, entry.scores, found.chances, found.boxes)
            rows = zip(*(column[:most].tolist() for column in columns), strict=True)
            return tuple(
                Prediction(c, model.class_name(c), score, chance, box=frame.back(tuple(box)))
                for c, score, chance, box in rows
            )

        return tuple(of_picture(self.pictures[k], frame) for k, frame in enumerate(frames))


def _read(output: Candidates, row: int, found: DetectedObjects) -> _OfPicture:
    scores, chances = full_precision(output.scores[row].detach()), output.chances[row].detach()
    pairs = [(c, _made(output, row, c, box)) for c, box in zip(found.classes.tolist(), found.boxes, strict=True)]
    behind = torch.stack([scores[k, c] for c, k in pairs]) if pairs else scores.new_empty(0)
    own = [output.boxes_of(row, c)[k] for c, k in enumerate(chances.argmax(0).tolist())] if len(chances) else []
    best = torch.stack(own) if own else scores.new_empty(0, 4)
    return _OfPicture(found, behind, best, bool(scores.isfinite().all()))


def _made(output: Candidates, row: int, index: int, box: Tensor) -> int:
    """The candidate that a reported box was made from."""
    distance = (output.boxes_of(row, index) - box).abs().sum(1)
    return int(output.chances[row][:, index].detach().masked_fill(distance > distance.min() + 1e-3, -1).argmax())


def _suppressed(output: Candidates, row: int) -> DetectedObjects:
    """Class by class, the most probable candidates that do not overlap a more probable one by half."""
    chances = output.chances[row].detach()
    kept: list[tuple[float, int, Tensor]] = []
    for index in range(chances.shape[1]):
        if index == output.background:
            continue
        own, chance = output.boxes_of(row, index), chances[:, index]
        left = [k for k in chance.argsort(descending=True).tolist() if chance[k] > REPORTED]
        while left:
            best = left.pop(0)
            kept.append((float(chance[best]), index, own[best]))
            covered = overlaps(own[left], own[best]) > OVERLAP if left else ()
            left = [k for k, gone in zip(left, covered, strict=True) if not gone]
    kept.sort(key=lambda entry: -entry[0])
    return DetectedObjects(
        torch.stack([box for _, _, box in kept]) if kept else chances.new_empty(0, 4),
        torch.tensor([index for _, index, _ in kept], dtype=torch.int64),
        torch.tensor([chance for chance, _, _ in kept]),
    )
