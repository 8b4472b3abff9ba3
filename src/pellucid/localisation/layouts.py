"""The layouts of COCO, Pascal VOC and ILSVRC, entry by entry: one that cannot be used is left out, and said."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from pellucid.contracts import Box
from pellucid.errors import BadPicture
from pellucid.localisation.coco import checked_run_lengths, sampled
from pellucid.localisation.truth import Thing, Truth, within
from pellucid.numerics import box_of
from pellucid.pictures.canvas import Placement
from pellucid.pictures.decode import MAX_PIXELS

_SYNSET = re.compile(r"n\d{8}")
_STANDARD = ("annotations", "annotation", "xml", "bbox", "labels")
"""Folders that hold annotations only, so that no picture's path has them."""
_FAR = 1e7
"""No picture has so many pixels on a side."""
_WRONG = (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError)
"""What an entry of another shape than the layout's raises when it is read."""


class Content(NamedTuple):
    """What files say: the layout's name, the pictures, and what was left out."""

    layout: str
    pictures: tuple[Truth, ...]
    notes: tuple[str, ...]


class Losses:
    """Entries that could not be used: how many for each kind of reason, and the first of them."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, what: str, why: object) -> None:
        """One more; `what` is a sentence's beginning such as `annotations were left out`."""
        text = f"{type(why).__name__}: {why}" if isinstance(why, KeyError) else str(why)
        self._found.setdefault(what, []).append(text if len(text) <= 120 else f"{text[:120]} ...")

    @property
    def first(self) -> str:
        """The first reason; empty: nothing was lost."""
        return next((reasons[0] for reasons in self._found.values()), "")

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each kind."""
        return tuple(f"{len(why)} {what} (the first: {why[0]})." for what, why in self._found.items())


def of_coco(path: Path) -> Content:
    """A COCO document; crowds are left out.

    Raises:
        BadPicture: it is none.
    """
    content = _json(path)
    if not isinstance(content, Mapping) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise unreadable(path, "expected an object with lists of images, annotations and categories")
    losses, crowds = Losses(), 0
    names = {each["id"]: str(each["name"]) for each in _usable(content["categories"], ("id", "name"), losses)}
    images = {each["id"]: each for each in _usable(content["images"], ("id", "file_name"), losses)}
    canvases = {key: _canvas(each.get("width"), each.get("height")) for key, each in images.items()}
    things: dict[Any, list[Thing]] = {key: [] for key in images}
    for each in content["annotations"]:
        try:
            if each.get("iscrowd"):
                crowds += 1
                continue
            owner = each["image_id"]
            if owner not in images:
                raise ValueError(f"the picture {owner!r} is not listed")
            outline = _outline(each.get("segmentation"), canvases[owner], losses)
            canvas = canvases[owner] = canvases[owner] or _own_canvas(outline)
            box = _checked(_coco_box(each.get("bbox"), outline), canvas)
            things[owner].append(Thing(names[each["category_id"]], box, drawn=outline))
        except _WRONG as error:
            losses.add("annotations were left out", error)
    pictures = tuple(
        Truth(str(each["file_name"]), tuple(things[key]), canvases[key], _paths(each)) for key, each in images.items()
    )
    if losses.first and not any(things.values()) and not crowds:
        raise unreadable(path, losses.first)
    return Content("COCO", pictures, ((f"{crowds} crowds were left out.",) if crowds else ()) + losses.notes)


def of_xml(root: Path, files: Sequence[Path]) -> Content:
    """A folder of VOC's or ILSVRC's files.

    Raises:
        BadPicture: none of them can be used.
    """
    losses = Losses()
    pictures: list[Truth] = []
    synsets = 0
    for file in files:
        try:
            # Attributes and text of any length; entities that grow are refused by expat itself.
            tree = ElementTree.parse(file).getroot()
        except (ElementTree.ParseError, LookupError, *_WRONG, OSError) as error:
            losses.add("files were left out", f"{file.name}: {error}")
            continue
        name = (tree.findtext("filename") or file.stem).strip()
        named = file.stem if "%s" in name else name
        canvas = _canvas(tree.findtext("size/width"), tree.findtext("size/height"))
        objects = list(tree.iter("object"))
        labels = [(each.findtext("name") or "").strip() for each in objects]
        by_synset = bool(labels) and all(_SYNSET.fullmatch(label) for label in labels)
        things = []
        for each in objects:
            try:
                things.append(_xml_thing(each, 0 if by_synset else 1, canvas))
            except _WRONG as error:
                losses.add("annotations were left out", f"{file.name}: {error}")
        synsets += by_synset
        folders = [part for part in file.relative_to(root).parts[:-1] if part.lower() not in _STANDARD]
        paths = tuple("/".join([*folders, end]) for end in (named, file.stem))
        pictures.append(Truth(named, tuple(things), canvas, paths))
    if losses.first and not any(truth.things for truth in pictures):
        raise unreadable(root, losses.first)
    return Content("ILSVRC" if synsets > len(pictures) / 2 else "VOC", tuple(pictures), losses.notes)


def of_csv(path: Path) -> Content:
    """ILSVRC's table: `ImageId`, and in `PredictionString` groups of a synset and four edges.

    Raises:
        BadPicture: it is none.
    """
    losses = Losses()
    pictures: list[Truth] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in _rows(csv.DictReader(file), losses):
            try:
                name, words = str(row["ImageId"]), row["PredictionString"].split()
            except _WRONG as error:
                losses.add("rows were left out", f"{error!r}")
                continue
            things = []
            for start in range(0, len(words), 5):
                try:
                    label, *edges = words[start : start + 5]
                    left, top, right, bottom = map(float, edges)
                    things.append(Thing(label, _checked((left, top, right, bottom), None)))
                except _WRONG as error:
                    losses.add("annotations were left out", f"{name}: {error}")
            pictures.append(Truth(name, tuple(things)))
    if losses.first and not pictures:
        raise unreadable(path, losses.first)
    return Content("ILSVRC", tuple(pictures), losses.notes)


def unreadable(path: Path, why: object) -> BadPicture:
    """The error of annotations of which nothing can be used."""
    return BadPicture(f"The annotations {str(path)!r} cannot be read: {why}.")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())  # of bytes: it then finds out the encoding, with its mark or without
    except (ValueError, RecursionError) as error:
        raise unreadable(path, error) from error


def _usable(entries: Sequence[Any], keys: Sequence[str], losses: Losses) -> Iterator[Mapping[str, Any]]:
    for each in entries:
        try:
            hash(tuple(each[key] for key in keys))
        except _WRONG as error:
            losses.add(f"entries without {' and '.join(keys)} were left out", error)
        else:
            yield each


def _paths(image: Mapping[str, Any]) -> tuple[str, ...]:
    """Under which a picture may be known; `source` is what `pellucid locate` adds."""
    return tuple(str(image[key]) for key in ("file_name", "source") if isinstance(image.get(key), str))


def _canvas(width: Any, height: Any) -> tuple[int, int] | None:
    """Columns and rows as written; None where they are missing, or no size (VOC's tools write 0)."""
    try:
        sides = int(width), int(height)
    except _WRONG:
        return None
    return sides if min(sides) > 0 and max(sides) < _FAR else None


def _own_canvas(outline: Any) -> tuple[int, int] | None:
    return (outline["size"][1], outline["size"][0]) if isinstance(outline, Mapping) else None


def _outline(given: Any, canvas: tuple[int, int] | None, losses: Losses) -> Any:
    """Polygons of at least three corners, or run lengths that fill their size; None: the box alone."""
    if not given:
        return None
    try:
        if isinstance(given, Mapping):
            code = checked_run_lengths(given)
            if canvas is not None and code["size"] != [canvas[1], canvas[0]]:
                raise ValueError(
                    f"run lengths of {code['size'][1]} x {code['size'][0]} pixels, not those of the picture"
                )
            return code
        polygons = [[float(number) for number in flat] for flat in given]
        if any(len(flat) < 6 or len(flat) % 2 or not all(abs(n) < _FAR for n in flat) for flat in polygons):
            raise ValueError("a polygon has at least three corners, x and y each")
    except _WRONG as error:
        losses.add("outlines cannot be used, so their boxes stand alone", error)
        return None
    return polygons


def _coco_box(given: Any, outline: Any) -> Box:
    """Of the entry, or around its outline."""
    if given is not None:
        left, top, wide, high = map(float, given)
        return left, top, left + wide, top + high
    if outline is None:
        raise ValueError("no bbox")
    if isinstance(outline, Mapping):
        rows, columns = outline["size"]
        if rows * columns > MAX_PIXELS:
            raise ValueError("no bbox")
        edges = box_of(sampled(outline, Placement((columns, rows), (rows, columns))))
        return float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3])
    points = np.concatenate([np.reshape(flat, (-1, 2)) for flat in outline])
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    return left, top, right, bottom


def _checked(box: Box, canvas: tuple[int, int] | None) -> Box:
    if not (all(math.isfinite(edge) and abs(edge) < _FAR for edge in box) and box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"a box from {box[0]:g}, {box[1]:g} to {box[2]:g}, {box[3]:g} encloses nothing")
    if canvas is not None and not within(box, canvas):
        raise ValueError(
            f"a box that ends at {box[2]:g}, {box[3]:g} is not on a picture of {canvas[0]} x {canvas[1]} pixels"
        )
    return box


def _xml_thing(each: ElementTree.Element, first: int, canvas: tuple[int, int] | None) -> Thing:
    edges = [float(_text(each, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
    box = _checked((edges[0] - first, edges[1] - first, edges[2], edges[3]), canvas)
    return Thing(_text(each, "name"), box, difficult=(each.findtext("difficult") or "0").strip() == "1")


def _text(element: ElementTree.Element, tag: str) -> str:
    text = element.findtext(tag)
    if text is None or not text.strip():
        raise ValueError(f"<{tag}> is missing")
    return text.strip()


def _rows(reader: csv.DictReader[str], losses: Losses) -> Iterator[dict[str, Any]]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            losses.add("rows were left out", error)
