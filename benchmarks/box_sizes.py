"""Why boxes at the published thresholds miss: their size and place beside the truth, and what the grid alone does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

import pellucid
from benchmarks.localisation import put, scenes_of_stamps
from benchmarks.measure import Row
from pellucid.contracts import Box, Model
from pellucid.data.scenes import Scene
from pellucid.errors import MissingExtra
from pellucid.localisation.rules import PUBLISHED
from pellucid.localisation.segments import above
from pellucid.metrics._truth import overlaps
from pellucid.numerics import boxes_of_parts, resize

CELL = 32
"""Pixels of a cell of the last layer's grid."""
THIN = 3.5
"""In cells; about the median of the shorter sides."""
FURTHER = 10
"""Draws of the test scenes beyond those of the tables."""

Boxes = NDArray[np.float64]


def boxes_of_stamps(_device: str) -> Iterator[Row]:
    """CAM and Grad-CAM with the class known, and a perfect map on the same grid."""
    model = pellucid.load(size=(256, 320), resize=None)
    try:
        tuned, every, _ = scenes_of_stamps(model, 2 + FURTHER)
    except MissingExtra as error:
        print(f"left out: {error}", flush=True)
        return
    labels = [_label(model, scene) for scene in every]
    right = np.array([known for _, known in labels])
    boxes = {
        method: np.array([_box(model, *pair, method) for pair in zip(every, labels, strict=True)])
        for method in PUBLISHED
    }
    truth = np.array([scene.box for scene in every], float)
    count = 2 * len(every) // (2 + FURTHER)
    first, rest = slice(0, count), slice(count, None)
    lines = [
        "| map, threshold | class known | thin things | others | its size, true place | true size, its place "
        "| area, times the true one |",
        "|---" * 7 + "|",
    ]
    for method, known in PUBLISHED.items():
        lines.append(_line(f"{method}, {known.threshold:g}", boxes[method][first], truth[first]))
        perfect = np.array([_perfect(scene, known.threshold) for scene in every[first]], float)
        lines.append(_line(f"perfect map, {known.threshold:g}", perfect, truth[first]))
    about = (
        f"The same {count} scenes, errors in percent with the class known. *Thin*: the {_thin(truth[first]).sum()} "
        f"things whose shorter side is below {THIN:g} cells of {CELL} pixels. *Perfect map*: each cell has the share "
        "of it that the mask covers."
    )
    centre = _centre_box(tuned, len(truth))
    top = {
        name: _error(found[rest] * right[rest, None], truth[rest])
        for name, found in {**boxes, "centre": centre}.items()
    }
    further = (
        f"{FURTHER} further draws of places, sizes and photographs for the same things ({len(truth[rest])} scenes): "
        f"the class is wrong in {1 - right[rest].mean():.1%}, and the top-1 error at the published thresholds is "
        f"{100 * top['cam']:.1f} with CAM ({top['cam'] / top['centre']:.2f} of the centre box's), "
        f"{100 * top['grad-cam']:.1f} with Grad-CAM ({top['grad-cam'] / top['centre']:.2f}) and "
        f"{100 * top['centre']:.1f} with the centre box."
    )
    put("boxes", f"{about}\n\n" + "\n".join(lines) + f"\n\n{further}")
    yield from ()  # nothing here has a bar


def _label(model: Model, scene: Scene) -> tuple[int, bool]:
    """The best of the right classes, as in the table, and whether it is the first of all."""
    first = pellucid.explain(model, scene.image, []).predictions[0][:5]
    known = next((each.index for each in first if each.index in scene.labels), scene.labels[0])
    return known, known == first[0].index


def _box(model: Model, scene: Scene, label: tuple[int, bool], method: str) -> Box:
    return pellucid.locate(model, scene.image, method, label[0])[0].box or (0.0, 0.0, 0.0, 0.0)


def _centre_box(tuned: Sequence[Scene], count: int) -> Boxes:
    """The box in the middle that is right most often on other scenes, so many times."""
    truth = np.array([scene.box for scene in tuned], float)
    picture = np.array([tuned[0].image.size] * max(count, len(tuned)), float)
    tried = [_around(picture / 2, picture * share) for share in np.arange(3, 11) / 10]
    return min(tried, key=lambda boxes: _error(boxes[: len(tuned)], truth))[:count]


def _perfect(scene: Scene, threshold: float) -> tuple[int, int, int, int]:
    mask = torch.from_numpy(scene.mask)[None, None].double()
    values = resize(F.avg_pool2d(mask, CELL), scene.mask.shape)[0, 0].numpy()  # type: ignore[arg-type]
    return boxes_of_parts(above(values, threshold), 1)[0]


def _line(name: str, found: Boxes, truth: Boxes) -> str:
    thin = _thin(truth)
    middle, side = _middles(found), _sides(found)
    cells = [
        _error(found, truth),
        _error(found[thin], truth[thin]),
        _error(found[~thin], truth[~thin]),
        _error(_around(_middles(truth), side), truth),
        _error(_around(middle, _sides(truth)), truth),
    ]
    area = np.median(side.prod(1) / _sides(truth).prod(1))
    return f"| {name} | {' | '.join(f'{100 * cell:.1f}' for cell in cells)} | {area:.2f} |"


def _error(found: Boxes, truth: Boxes) -> float:
    pairs = zip(found, truth, strict=True)
    return float(np.mean([overlaps(box[None], true[None]).max() < 0.5 for box, true in pairs]))


def _middles(boxes: Boxes) -> Boxes:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _sides(boxes: Boxes) -> Boxes:
    return boxes[:, 2:] - boxes[:, :2]


def _around(middles: Boxes, sides: Boxes) -> Boxes:
    return np.concatenate([middles - sides / 2, middles + sides / 2], 1)


def _thin(truth: Boxes) -> NDArray[np.bool_]:
    return np.asarray(_sides(truth).min(1) < THIN * CELL)


PARTS = [boxes_of_stamps]
