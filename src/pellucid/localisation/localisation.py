"""`pellucid.locate`: where in a picture the class is, from a network that was never shown a box."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pellucid import arguments
from pellucid.api import explain
from pellucid.contracts import Attribution, Frame, Model, Prediction, Site
from pellucid.errors import BadOption, UnknownName
from pellucid.explanation import Explanation
from pellucid.localisation.coco import document
from pellucid.localisation.located import Located
from pellucid.localisation.rules import MaskRule, rule_for
from pellucid.localisation.segments import Segment, nothing_in, segments
from pellucid.localisation.views import averaged
from pellucid.models.wrap import wrap
from pellucid.pictures.geometry import stretch, window
from pellucid.registry import find_method
from pellucid.results import Result
from pellucid.targets import Logit, Target, TargetLike, Top, parse_targets
from pellucid.targets.class_names import class_index

_SEEN = 0.99
"""Shares of a picture below this are worth a note when they are all that the model sees of it."""


@dataclass(frozen=True, eq=False)
class Localisation(Result):
    """What one call of `pellucid.locate` found.

    Attributes:
        explanation: the maps and predictions that it rests on.
        pictures: one entry per picture, each with one `Located` per target.
    """

    explanation: Explanation
    pictures: tuple[tuple[Located, ...], ...]

    @property
    def attribution(self) -> Attribution:
        """The map of the first target."""
        return self.explanation.attributions[0]

    def __getitem__(self, index: int) -> Located:
        """What was found of the first target in a picture.

        Raises:
            UnknownName: there is no such picture.
        """
        if not -len(self) <= index < len(self):
            raise UnknownName(f"There is no picture {index}: {len(self)} were looked at.")
        return self.pictures[index][0]

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Located]:
        return (each for located in self.pictures for each in located)

    def __repr__(self) -> str:
        found = sum(bool(each.segments) for each in self)
        return f"<Localisation by {self.attribution.method.id}: found {found} of {sum(1 for _ in self)}>"

    def coco(self) -> dict[str, Any]:
        """Images, annotations (with `bbox` in pixels of the picture) and categories, as COCO writes them."""
        return document(self.pictures)

    def save(self, folder: str | Path, *, command: str = "") -> Path:
        """Write pictures with boxes, masks, maps, `localisation.json` (COCO) and manifests; returns the folder.

        Each picture gets a folder in it, named after it, also a single one: the layout of `pellucid locate --out`. What
        could not be written completely is removed again.

        Raises:
            BadOption: the folder cannot be written to.
        """
        found: Path = self._do("save", Path(folder), command=command)
        return found


def locate(
    model: Model | nn.Module,
    pictures: Any,
    method: str = "grad-cam",
    target: TargetLike = None,
    layer: str | Site | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    *,
    by: str = "threshold",
    threshold: float | None = None,
    crops: bool | None = None,
    objects: int = 1,
    chunk: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Localisation:
    """Find where a class is in pictures, with a network that was trained on classes only.

    The method's map is resized to the picture's own pixels (bilinearly, with half-pixel centres), what lies above a
    share of its maximum is kept, and connected parts (of pixels that share an edge or a corner) get a box each. Where
    the model sees a central crop only, nothing is found outside of it.

    `locate(model, picture, "saliency", by="graph-cut")` is the method of Simonyan et al.: the map, averaged over ten
    crops, only says from which pixels the colours of object and background are learned; a graph cut does the rest. See
    `pellucid.localisation.graph_cut`. The picture misleads where object and background share their colours.

    Args:
        model: a `Model` or any `nn.Module`.
        pictures: paths, images, arrays or tensors, as for `pellucid.explain`.
        method: id of the method whose map is used.
        target: what is explained, as for `pellucid.explain` (with crops, unless one is named, the top class); `top5`
            gives five answers for each picture.
        layer: layer that layer methods look at, or `auto`.
        options: keyword options of the method, as for `pellucid.explain`.
        seed: integer that starts all random draws.
        by: `threshold` or `graph-cut`.
        threshold: share of the map's maximum; None takes the published one (CAM 0.2, Grad-CAM 0.15), for other
            methods 0.2, with a note.
        crops: True to average the map over five crops (corners and middle) and their mirror images, each explained for
            the class that was found in the usual view; this also shows what lies outside of a central crop. None: for
            graph cuts only, as in the paper. Takes ten times the work.
        objects: largest number of parts, the largest first.
        chunk: samples at once, as for `pellucid.explain`.
        progress: told how far the work is, likewise.
        cancel: asked whether to stop, likewise.

    Returns:
        A `Localisation`; `result[0].box` is the box in the first picture, None when nothing was found.

    Raises:
        BadOption, UnknownName, BadPicture, BadSite, Refused, Cancelled: as `pellucid.explain`.

    Reference:
        CAM: arXiv:1512.04150, section 3.2; Grad-CAM: arXiv:1610.02391, section 4.1; saliency and graph cut:
        arXiv:1312.6034, section 3.2.
    """
    objects = arguments.whole_number(objects, "objects", "a positive number of objects", least=1)
    names = arguments.method_names(method)
    if len(names) != 1:
        raise BadOption(f"Expected one method to locate with, got {len(names)}. Call locate once for each.")
    rule = rule_for(find_method(names[0]), by, threshold, seed)
    crops = rule.needs_colours if crops is None else crops
    if isinstance(pictures, Tensor) and (crops or rule.needs_colours):
        raise BadOption("Crops and graph cuts need the picture itself. Give pictures, not tensors.")

    def explained(what: Any, whose: TargetLike) -> Explanation:
        return explain(model, what, names, whose, layer, options, seed, chunk=chunk, progress=progress, cancel=cancel)

    whole = target is None and crops  # every crop is asked about one class
    explanation = explained(pictures, Top() if whole else target)
    wanted = None if target is None and not whole else parse_targets(target, wrap(model))
    found = []
    for index in range(len(explanation.attributions[0].target)):
        maps = [_seen(explanation, attribution, index) for attribution in explanation]
        known = _known(wanted, explanation, index)
        if crops:
            maps = [_cropped(explanation, index, label, explained) for label, _ in known]
        found.append(tuple(
            _located(explanation, attribution, index, seen, which, rule, objects)
            for attribution, seen, which in zip(explanation, maps, known, strict=True)
        ))  # fmt: skip
    return Localisation(explanation, tuple(found))


@dataclass(frozen=True, eq=False)
class _Seen:
    """A map and what it covers of a picture."""

    values: NDArray[np.float64]
    frame: Frame
    notes: tuple[str, ...]


def _seen(explanation: Explanation, attribution: Attribution, index: int) -> _Seen:
    values = attribution.values[index].detach().cpu().double().numpy()
    picture = explanation.pictures[index] if explanation.pictures else None
    frame = picture.frame if picture else Frame.whole((values.shape[0], values.shape[1]))
    return _Seen(values, frame, (*(text for text in [_partly(frame)] if text), *attribution.notes))


def _cropped(
    explanation: Explanation, index: int, label: int | None, explained: Callable[[Any, TargetLike], Explanation]
) -> _Seen:
    if label is None:
        raise BadOption(
            "Averaging over crops needs a class, which every crop can be asked about. Name one as target, or set crops "
            "to False."
        )
    model, picture = explanation.model, explanation.pictures[index]
    preprocess = model.preprocess
    whole = preprocess is None or preprocess.resize is None
    notes: list[str] = []

    def maps_of(inputs: Tensor) -> Tensor:
        attribution = explained(inputs, label).attributions[0]
        notes.extend(attribution.notes)
        return attribution.values

    values, count = averaged(model, picture, maps_of, whole)
    size = picture.image.height, picture.image.width
    box = (0.0, 0.0, float(size[1]), float(size[0]))
    frame = Frame(size, box, (values.shape[0], values.shape[1]))
    return _Seen(values, frame, (f"The map is the mean over {count} crops and mirror images.", *dict.fromkeys(notes)))


def _located(
    explanation: Explanation,
    attribution: Attribution,
    index: int,
    seen: _Seen,
    which: tuple[int | None, float | None],
    rule: MaskRule,
    objects: int,
) -> Located:
    picture = explanation.pictures[index] if explanation.pictures else None
    found, trouble = _segments(seen, rule, objects, picture.image if picture else None)
    return Located(
        name=picture.name if picture else f"sample {index + 1}",
        size=_picture(seen.frame),
        seen=seen.frame.box,
        image=picture.image if picture else None,
        target=attribution.target[index],
        label=which[0],
        probability=which[1],
        values=seen.values,
        rule=rule,
        segments=found,
        notes=tuple(note for note in (trouble, rule.note, *seen.notes) if note),
    )


def _picture(frame: Frame) -> tuple[int, int]:
    """Rows and columns of the picture."""
    rows, columns = frame.picture
    return rows, columns


def _segments(seen: _Seen, rule: MaskRule, objects: int, image: Image.Image | None) -> tuple[tuple[Segment, ...], str]:
    """What a map points at, and why that is nothing."""
    values, frame = seen.values, seen.frame
    if reason := nothing_in(values):
        return (), f"Nothing found: {reason}."
    left, top, right, bottom = pixels = window(frame.box)
    strength = values / values.max()  # evidence may be smaller than float32 holds, in which maps are resized
    shown = stretch(strength, frame.box, pixels).astype(np.float64)
    colours = np.asarray(image.convert("RGB"))[top:bottom, left:right] if image else None
    found = segments(rule.mask(shown, colours), shown, (left, top), _picture(frame), objects)
    return found, "" if found else "Nothing found: the cut leaves no foreground."


def _partly(frame: Frame) -> str:
    rows, columns = frame.picture
    left, top, right, bottom = frame.box
    share = (min(right, columns) - max(left, 0)) * (min(bottom, rows) - max(top, 0)) / (rows * columns)
    if share >= _SEEN:
        return ""
    return f"The model sees {share:.0%} of the picture, its central part; nothing can be found outside of that."


def _known(
    wanted: Sequence[Target] | None, explanation: Explanation, index: int
) -> list[tuple[int | None, float | None]]:
    """As `_prediction`, of each target; where none was named, of those that `explain` chose, by their names."""
    if wanted is not None or len(explanation) == 1:
        return [_prediction(each, explanation, index) for each in wanted or (Top(),)]
    ranked: Sequence[Prediction] = explanation.predictions[index] if explanation.predictions else ()
    named = [next((p for p in ranked if p.name == each.target[index]), None) for each in explanation]
    return [(None, None) if p is None else (p.index, p.probability) for p in named]


def _prediction(target: Target, explanation: Explanation, index: int) -> tuple[int | None, float | None]:
    """Number and probability of the class that a target stands for in a picture, as far as they are known."""
    ranked: Sequence[Prediction] = explanation.predictions[index] if explanation.predictions else ()
    classes = target.classes if isinstance(target, Logit) else None
    if isinstance(target, Top) or (isinstance(target, Logit) and classes is None):
        rank = target.rank if isinstance(target, Top) else 0
        return (ranked[rank].index, ranked[rank].probability) if rank < len(ranked) else (None, None)
    if classes is None:
        return None, None
    label = class_index(classes[index % len(classes)], explanation.model)
    return label, next((each.probability for each in ranked if each.index == label), None)
