"""How well the methods locate, on two sets whose truth is exact; writes the tables of docs/localisation.md."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import pellucid
from benchmarks.measure import Row
from pellucid.contracts import Model
from pellucid.data.cluttered import SIZE, as_arrays, cluttered
from pellucid.data.scenes import Scene
from pellucid.data.stamps import stamps
from pellucid.errors import MissingExtra
from pellucid.localisation.annotations import Thing, Truth
from pellucid.localisation.scoring import score
from pellucid.localisation.tally import Report
from pellucid.training.hyperparameters import Settings
from pellucid.training.loop import evaluate, train
from pellucid.zoo.architectures import build

CACHE = Path(os.environ.get("PELLUCID_CACHE", Path(__file__).parent.parent / ".cache" / "data"))
PAGE = Path(__file__).parent.parent / "docs" / "localisation.md"
START, END = "<!-- {}: written by the bench -->", "<!-- end of {} -->"
PASSES = 20
LEARNED, TESTED = 4000, 100

CUT: dict[str, Any] = {"by": "graph-cut"}
ON_DIGITS: list[tuple[str, dict[str, Any]]] = [
    ("cam", {}),
    ("grad-cam", {}),
    ("grad-cam++", {}),
    ("hires-cam", {}),
    ("xgrad-cam", {}),
    ("layer-cam", {}),
    ("eigen-cam", {}),
    ("saliency", {}),
    ("saliency", CUT),
    ("grad-cam", {**CUT, "crops": False}),
    ("guided-backprop", {}),
    ("input-x-gradient", {}),
    ("integrated-gradients", {}),
    ("smoothgrad", {"options": {"smoothgrad": {"samples": 10}}}),
    ("occlusion", {"options": {"occlusion": {"window": 8, "stride": 4}}}),
]
ON_STAMPS: list[tuple[str, dict[str, Any]]] = [
    ("cam", {}),
    ("grad-cam", {}),
    ("grad-cam++", {}),
    ("layer-cam", {}),
    ("saliency", {}),
    ("saliency", {"crops": True}),
    ("saliency", CUT),
    ("grad-cam", {**CUT, "crops": False}),
]
COLUMNS = (
    ("top-1", "top-1 localisation error"),
    ("top-5", "top-5 localisation error"),
    ("class known", "error with the class known"),
    ("top-1, threshold chosen", "threshold chosen: top-1 localisation error"),
    ("class known, threshold chosen", "threshold chosen: error with the class known"),
    ("MaxBoxAcc", "MaxBoxAcc"),
    ("V2", "MaxBoxAccV2"),
    ("PxAP", "PxAP"),
    ("pointing", "pointing game"),
)


def localisation_of_digits(_device: str) -> Iterator[Row]:
    """Digits on cluttered photographs, with a network that is trained first."""
    model, accuracy = digit_network()
    tuned, tested = cluttered(60, seed=11), cluttered(TESTED, test=True)
    reports = _all(model, tuned, tested, ON_DIGITS)
    about = (
        f"{TESTED} scenes of {SIZE} x {SIZE} pixels with digits and photographs that the network never saw; "
        f"small-resnet with one block a stage, {PASSES} passes over {LEARNED:,} scenes, names {accuracy:.0%} of 1,000 "
        f"such digits. Thresholds and the centre box ({reports[0][1].centre:.0%} of the sides) were chosen on 60 other "
        "scenes."
    )
    _write("digits", about, reports)
    yield from _bars(reports, "digits", model.name, TESTED)


def localisation_of_stamps(_device: str) -> Iterator[Row]:
    """Real things on calm photographs, if their packages are unpacked in `CACHE`."""
    model = pellucid.load(size=(256, 320), resize=None)
    try:
        tuned, tested, offered = scenes_of_stamps(model)
    except MissingExtra as error:
        print(f"left out: {error}", flush=True)
        return
    reports = _all(model, tuned, tested, ON_STAMPS)
    about = (
        f"{len(tested)} scenes of 320 x 256 pixels, fed whole, with {len(tested) // 2} things; EfficientNet-Lite0. Of "
        f"the {offered} stamps those {len(tuned) + len(tested) // 2} are used that it names rightly on plain grey. "
        f"Every second stamp of the list served to choose thresholds, the centre box ({reports[0][1].centre:.0%} of "
        "the sides) and the two settings of the graph cut, and is not in the table."
    )
    _write("stamps", about, reports)
    yield from _bars(reports, "stamps", model.name, len(tested))


def scenes_of_stamps(model: Model, draws: int = 2) -> tuple[list[Scene], list[Scene], int]:
    """Scenes to choose on, scenes to test on, and the number of stamps of which those were taken that the model names.

    Args:
        model: that names them on plain grey.
        draws: of places, sizes and photographs for each stamp to test on; the first ones do not depend on it.

    Raises:
        MissingExtra: the packages are not in `CACHE`.
    """
    grey = stamps(CACHE, model.classes, photographs=[Image.new("RGB", (640, 512), (128, 128, 128))])
    every = [stamps(CACHE, model.classes, seed=seed) for seed in range(draws)]
    known = {scene.name for scene in grey if _first(model, scene) in scene.labels}
    names = sorted({scene.name for scene in grey})
    tuned = [scene for scene in every[0] if scene.name in known and scene.name in names[::2]]
    tested = [
        replace(scene, name=f"{scene.name} {number}")
        for number, made in enumerate(every)
        for scene in made
        if scene.name in known and scene.name in names[1::2]
    ]
    return tuned, tested, len(names)


def digit_network() -> tuple[Model, float]:
    """A network that was trained just now, and its accuracy on test scenes."""
    net = build("small-resnet", {"classes": 10, "blocks": 1}, seed=0)
    settings = Settings(passes=PASSES, rate=4e-3, shift=1 / 8)
    train(net, _tensors(cluttered(LEARNED)), _tensors(cluttered(400, seed=7)), settings)
    _, accuracy = evaluate(net, *_tensors(cluttered(1000, test=True)))
    classes = [str(digit) for digit in range(10)]
    model = pellucid.wrap(
        net, name="small-resnet", size=SIZE, resize=None, mean=[0.5] * 3, std=[0.25] * 3, classes=classes
    )
    return model, accuracy


def _tensors(scenes: Sequence[Scene]) -> tuple[torch.Tensor, torch.Tensor]:
    pictures, labels = as_arrays(scenes)
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25, torch.from_numpy(labels)


def _first(model: Model, scene: Scene) -> int:
    return pellucid.explain(model, scene.image, []).predictions[0][0].index


def _all(
    model: Model, tuned: Sequence[Scene], tested: Sequence[Scene], plan: Sequence[tuple[str, dict[str, Any]]]
) -> list[tuple[str, Report]]:
    pairs = [(scene.image, _truth(scene, number)) for number, scene in enumerate([*tuned, *tested])]
    held = {truth.name for _, truth in pairs[: len(tuned)]}
    reports = []
    for method, how in plan:
        name = f"{method}, graph cut" if how.get("by") else f"{method}, crops" if how.get("crops") else method
        print(f"locating with {name} ...", flush=True)
        if how.get("by"):  # a cut has no threshold to be chosen
            reports.append((name, score(model, pairs[len(tuned) :], method, held_out=0, **how)))
        else:
            reports.append((name, score(model, pairs, method, held_out=held, **how)))
    return reports


def _truth(scene: Scene, number: int) -> Truth:
    left, top, right, bottom = scene.box
    thing = Thing(scene.name, (left, top, right, bottom), scene.labels, drawn=scene.mask)
    return Truth(f"{number} {scene.name}", (thing,))


def _bars(reports: Sequence[tuple[str, Report]], part: str, network: str, count: int) -> Iterator[Row]:
    found = {name: report.scores for name, report in reports}
    error = "top-1 localisation error"
    centre = found["cam"][f"centre box: {error}"].mean
    for method in ("cam", "grad-cam"):
        for which, name in (("as published", error), ("chosen on other scenes", f"threshold chosen: {error}")):
            ours = found[method][name].mean
            yield Row(f"{part}: top-1 error of {method}, threshold {which}", network, count, ours, centre, "",
                      "centre box", ours / centre, "<= 0.5", ours <= 0.5 * centre)  # fmt: skip
    cut, plain = found["saliency, graph cut"][error].mean, found["saliency"][f"threshold chosen: {error}"].mean
    yield Row(f"{part}: top-1 error of saliency with graph cut", network, count, cut, plain, "",
              "saliency, threshold chosen on other scenes", cut / plain, "< 1", cut < plain)  # fmt: skip


def _write(part: str, about: str, reports: Sequence[tuple[str, Report]]) -> None:
    """Put the table of a part on the page."""
    lines = [f"| method | {' | '.join(short for short, _ in COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, report in reports:
        lines.append(f"| {name} | {' | '.join(_cell(report, full) for _, full in COLUMNS)} |")
    first = reports[0][1]
    centre = {full: _cell(first, f"centre box: {full}") for _, full in COLUMNS}
    centre["pointing game"] = _cell(first, "centre: pointing game")
    lines.append(f"| *centre box* | {' | '.join(centre.values())} |")
    wrong = first.scores["top-1 classification error"].mean
    put(part, f"{about} The class itself is wrong in {wrong:.1%}.\n\n" + "\n".join(lines))


def put(part: str, text: str) -> None:
    """Put text between the marks of a part on the page."""
    start, end = START.format(part), END.format(part)
    before, _, rest = PAGE.read_text().partition(start)
    PAGE.write_text(f"{before}{start}\n{text}\n{end}{rest.partition(end)[2]}")


def _cell(report: Report, name: str) -> str:
    number = report.scores.get(name)
    if number is None:
        return ""
    share = name.endswith(("error", "known"))
    text = f"{100 * number.mean:.1f}" if share else f"{number.mean:.3f}"
    if number.interval is None or not share:
        return text
    return f"{text} ({100 * number.interval[0]:.0f} to {100 * number.interval[1]:.0f})"


PARTS = [localisation_of_digits, localisation_of_stamps]
