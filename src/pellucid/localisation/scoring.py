"""How well a method locates, on pictures with known boxes: the protocols of weakly supervised localisation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from itertools import count as count_from
from typing import Any

from pellucid.api import explain
from pellucid.contracts import Model
from pellucid.errors import BadOption, BadPicture, BadSite, Cancelled, UnknownName
from pellucid.jobs import over
from pellucid.localisation.localisation import locate
from pellucid.localisation.tally import FoundBoxes, Report, Tally
from pellucid.localisation.truth import Thing, Truth
from pellucid.pictures.decode import orientation_of

_FEWEST = 5
"""Held-out pictures below this number choose nothing."""
_UNTRIED = 0.7
"""Side of the centre box where nothing is held out to choose it: half of the picture's area."""


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
        seed: integer that starts all random draws and the bootstrap.
        progress: function that is called with (what, pictures done, pictures in all).
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
    done = count_from(1)
    notes: list[str] = []

    def every(pairs: Sequence[tuple[Any, Truth]], what: str, use: Callable[[Truth, FoundBoxes], None]) -> None:
        """Look at each picture and use what was found at once, so that no maps are kept."""

        def tick(_: object) -> None:
            if progress:
                progress(what, next(done), len(order))

        def one(pair: tuple[Any, Truth]) -> None:
            use(*_look(model, *pair, method, {"seed": seed, **how}))

        outcome = over(pairs, one, name=lambda pair: str(pair[0]), each=tick)
        if outcome.interrupted is not None:
            raise outcome.interrupted
        wrong = [f.error for f in outcome.failed if isinstance(f.error, BadOption | BadSite | UnknownName)]
        if wrong and not tuning.pictures + tally.pictures:
            raise wrong[0]  # the call is wrong, not the pictures
        notes.extend(f"Left out: {failure.error}" for failure in outcome.failed)

    if held_out and not chosen:
        notes.append(f"Too few pictures ({len(order)}) to hold some out: no threshold was chosen.")
    if len(usable) < len(pictures):
        notes.append(f"{len(pictures) - len(usable)} pictures without a thing of a known class were left out.")
    tuning, tally = Tally(), Tally()
    threshold, centre = None, _UNTRIED
    try:
        every(chosen, "choosing a threshold", lambda truth, found: tuning.add(truth, found, None, centre))
        if tuning.pictures:
            threshold = tuning.best_threshold() if how.get("by", "threshold") == "threshold" else None
            centre = tuning.best_centre()
        every(rest, "scoring", lambda truth, found: tally.add(truth, found, threshold, centre))
    except KeyboardInterrupt as stop:
        said = f"Interrupted: {tally.pictures} of {len(rest)} pictures are scored."
        finished = tally.report(threshold, centre, tuning.pictures, [*notes, said], seed) if tally.pictures else None
        raise Cancelled(said, finished) from stop
    if not tally.pictures:
        raise BadPicture(f"None of the {len(rest)} pictures can be read. {notes[-1]}")
    return tally.report(threshold, centre, tuning.pictures, notes, seed)


def _by_class(truth: Truth) -> list[tuple[Thing, ...]]:
    """The things of each of the model's classes."""
    groups: dict[tuple[int, ...], list[Thing]] = {}
    for thing in truth.things:
        if thing.labels:
            groups.setdefault(thing.labels, []).append(thing)
    return [tuple(things) for things in groups.values()]


def _look(model: Model, picture: Any, written: Truth, method: str, how: dict[str, Any]) -> tuple[Truth, FoundBoxes]:
    """What is known about a picture, and what is found for its classes and the network's."""
    classes = min(5, len(explain(model, picture, []).predictions[0]))
    ranked = locate(model, picture, method, f"top{classes}", **how).pictures[0]
    truth = written.on(ranked[0].size, orientation_of(picture))
    known = []
    for things in _by_class(truth):
        seen = next((each for each in ranked if each.label in things[0].labels), None)
        known.append((things, seen or locate(model, picture, method, things[0].labels[0], **how)[0]))
    return truth, FoundBoxes(ranked, known)
