"""What people drew: boxes and masks in the layouts of COCO, Pascal VOC and ILSVRC."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from pellucid.components import Mask
from pellucid.errors import BadOption, BadPicture, UnknownName
from pellucid.localise.coco import from_run_lengths
from pellucid.pictures.geometry import window
from pellucid.types import Box, Classes

_SYNSET = re.compile(r"n\d{8}")


@dataclass(frozen=True, eq=False)
class Thing:
    """One thing in a picture.

    Attributes:
        name: of its class, as it was written.
        box: left, top, right, bottom in pixels of the picture; edges between pixels, counted from 0.
        labels: the model's classes that are right answers; empty before they are matched.
        drawn: its outline as COCO writes it (polygons or run lengths), or a mask; None: only the box is known.
        difficult: marked so in VOC.
    """

    name: str
    box: Box
    labels: tuple[int, ...] = ()
    drawn: Any = None
    difficult: bool = False

    def mask(self, size: tuple[int, int]) -> Mask:
        """Its pixels in a picture of so many rows and columns; those of the box where no outline is known."""
        if isinstance(self.drawn, np.ndarray):
            return self.drawn
        if self.drawn is None:
            left, top, right, bottom = window(self.box)
            mask = np.zeros(size, bool)
            mask[max(top, 0) : bottom, max(left, 0) : right] = True
            return mask
        if isinstance(self.drawn, Mapping):
            return from_run_lengths(self.drawn)
        return _filled(self.drawn, size)


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known about one picture.

    Attributes:
        name: of its file; without an ending where the layout gives none.
        things: in it.
    """

    name: str
    things: tuple[Thing, ...]


@dataclass(frozen=True, eq=False)
class Annotations:
    """What is known about many pictures.

    Attributes:
        layout: `COCO`, `VOC` or `ILSVRC`.
        pictures: in the order of the files.
        notes: what was left out, and why.
    """

    layout: str
    pictures: tuple[Truth, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, Truth]:
        return {key: truth for truth in self.pictures for key in (_stem(truth.name), truth.name)}

    def of(self, file: str) -> Truth | None:
        """What is known about a picture file; its folder does not count, nor its ending where none is given."""
        name = Path(file).name
        return self._by_name.get(name) or self._by_name.get(_stem(name))

    def matched(self, classes: Classes | None) -> Annotations:
        """With the model's classes: by number, synset or name; things of other names are left out, with a note.

        Raises:
            BadOption: not a single name is a class of the model, or it names no classes.
        """
        if classes is None:
            raise BadOption("The model's classes have no names, so annotations cannot be matched. Give --classes.")
        known: dict[str, int | None] = {}
        for name in dict.fromkeys(thing.name for truth in self.pictures for thing in truth.things):
            try:
                known[name] = classes.find(name)
            except UnknownName:
                known[name] = None
        strange = sorted(name for name, label in known.items() if label is None)
        if known and len(strange) == len(known):
            raise BadOption(
                f"None of the annotated classes ({_listed(strange)}) is a class of the model. Annotate by the model's "
                "own names, numbers or synsets, or give the model's names with --classes."
            )
        note = f"{len(strange)} annotated classes are none of the model's and were left out: {_listed(strange)}."
        found = tuple(
            replace(
                truth, things=tuple(replace(t, labels=(k,)) for t in truth.things if (k := known[t.name]) is not None)
            )
            for truth in self.pictures
        )
        return replace(self, pictures=found, notes=(*self.notes, note) if strange else self.notes)


def read_annotations(path: str | Path) -> Annotations:
    """Read annotations: a COCO `.json`, a folder of VOC or ILSVRC `.xml` files (at any depth), or ILSVRC's `.csv`.

    VOC counts pixels from 1 and includes the last; ILSVRC and COCO give edges, counted from 0. Crowds of COCO are left
    out. Files whose classes are synsets such as n02123045 are taken for ILSVRC.

    Raises:
        BadOption: the path is none of these.
        BadPicture: a file is damaged.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        files = sorted(path.rglob("*.xml"))
        if files:
            return _of_xml(files)
        raise BadOption(f"{str(path)!r} holds no .xml file. Name a folder in the layout of VOC or ILSVRC.")
    if not path.is_file():
        raise BadOption(f"{str(path)!r} does not exist. Name a COCO .json, ILSVRC's .csv or a folder of .xml files.")
    if path.suffix.lower() not in (".json", ".csv"):
        raise BadOption(f"Expected a .json, a .csv or a folder of .xml files as annotations, got {str(path)!r}.")
    try:
        return _of_coco(json.loads(path.read_text())) if path.suffix.lower() == ".json" else _of_csv(path)
    except (KeyError, TypeError, ValueError, IndexError, OSError) as error:
        raise BadPicture(f"The annotations {str(path)!r} cannot be read: {error!r}.") from error


def _of_coco(content: Mapping[str, Any]) -> Annotations:
    names = {each["id"]: str(each["name"]) for each in content["categories"]}
    things: dict[Any, list[Thing]] = {each["id"]: [] for each in content["images"]}
    crowds = 0
    for each in content["annotations"]:
        if each.get("iscrowd"):
            crowds += 1
            continue
        left, top, wide, high = map(float, each["bbox"])
        outline = each.get("segmentation") or None
        if isinstance(outline, Mapping) and isinstance(outline["counts"], str):
            outline = {"size": outline["size"], "counts": unpacked(outline["counts"])}
        things[each["image_id"]].append(
            Thing(names[each["category_id"]], (left, top, left + wide, top + high), drawn=outline)
        )
    pictures = tuple(Truth(str(each["file_name"]), tuple(things[each["id"]])) for each in content["images"])
    return Annotations("COCO", pictures, (f"{crowds} crowds were left out.",) if crowds else ())


def unpacked(text: str) -> list[int]:
    """The run lengths in COCO's compressed text: six bits a character, numbers as differences to the last but one."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def _of_xml(files: Iterable[Path]) -> Annotations:
    pictures = []
    synsets = 0
    for file in files:
        try:
            root = ElementTree.parse(file).getroot()
            name = (root.findtext("filename") or file.stem).strip()
            found = [(_text(each, "name"), each) for each in root.iter("object")]
            by_synset = bool(found) and all(_SYNSET.fullmatch(label) for label, _ in found)
            things = tuple(_thing(label, each, 0 if by_synset else 1) for label, each in found)
        except (ElementTree.ParseError, ValueError, KeyError) as error:
            raise BadPicture(f"The annotations {str(file)!r} cannot be read: {error}.") from error
        synsets += by_synset
        pictures.append(Truth(file.stem if "%s" in name else name, things))
    return Annotations("ILSVRC" if synsets > len(pictures) / 2 else "VOC", tuple(pictures))


def _thing(name: str, each: ElementTree.Element, first: int) -> Thing:
    edges = [float(_text(each, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
    box = (edges[0] - first, edges[1] - first, edges[2], edges[3])
    return Thing(name, box, difficult=(each.findtext("difficult") or "0").strip() == "1")


def _of_csv(path: Path) -> Annotations:
    pictures = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            words = row["PredictionString"].split()
            groups = [words[k : k + 5] for k in range(0, len(words), 5)]
            things = tuple(Thing(g[0], (float(g[1]), float(g[2]), float(g[3]), float(g[4]))) for g in groups)
            pictures.append(Truth(row["ImageId"], things))
    return Annotations("ILSVRC", tuple(pictures))


def _text(element: ElementTree.Element, tag: str) -> str:
    text = element.findtext(tag)
    if text is None or not text.strip():
        raise ValueError(f"<{tag}> is missing")
    return text.strip()


def _filled(outlines: Iterable[list[float]], size: tuple[int, int]) -> Mask:
    """The pixels whose centres lie in any of the outlines `x, y, x, y, ...`, given by the edges between pixels."""
    from skimage.draw import polygon

    mask = np.zeros(size, bool)
    for flat in outlines:
        points = np.asarray(flat, float).reshape(-1, 2) - 0.5
        mask[polygon(points[:, 1], points[:, 0], size)] = True  # type: ignore[no-untyped-call]
    return mask


def _stem(name: str) -> str:
    return (
        Path(name).stem if Path(name).suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".bmp") else Path(name).name
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
