"""What people drew: boxes and masks in the layouts of COCO, Pascal VOC and ILSVRC, and which picture each is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pellucid.contracts import Classes
from pellucid.errors import BadOption, BadPicture, UnknownName
from pellucid.localisation.coco import unpacked
from pellucid.localisation.layouts import of_coco, of_csv, of_xml, unreadable
from pellucid.localisation.truth import Thing, Truth
from pellucid.pictures.joining import Joined

__all__ = ["Annotations", "Thing", "Truth", "read_annotations", "unpacked"]


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
    def _joined(self) -> Joined[Truth]:
        return Joined(((truth.paths or (truth.name,), truth) for truth in self.pictures), _called)

    def of(self, file: str) -> Truth | None:
        """What is known about a picture file: of the path that agrees with its own for longest, counted from the end.

        Raises:
            BadPicture: several agree equally well; the message names them.
        """
        return self._joined.of(file)

    def of_all(self, files: Sequence[str]) -> tuple[list[Truth | None], tuple[str, ...]]:
        """What is known about each of several pictures, and notes: no truth is given to two of them."""
        found = self._joined.of_all(files)
        notes = [f"Left out: {each}" for each in found if isinstance(each, BadPicture)]
        moved = [
            file
            for file, each in zip(files, found, strict=True)
            if isinstance(each, Truth) and self._joined.disputed(file)
        ]
        if moved:
            notes.append(
                f"{len(moved)} pictures were found by their names alone: the annotations have them in other folders "
                f"(the first: {moved[0]!r})."
            )
        return [each if isinstance(each, Truth) else None for each in found], tuple(notes)

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
    out, and so is what cannot be used, with a note. Files whose classes are synsets such as n02123045 are taken for
    ILSVRC.

    Raises:
        BadOption: the path is none of these.
        BadPicture: a file is damaged, or nothing in it can be used.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.xml") if file.is_file())
        if files:
            return Annotations(*of_xml(path, files))
        raise BadOption(f"{str(path)!r} holds no .xml file. Name a folder in the layout of VOC or ILSVRC.")
    if not path.is_file():
        raise BadOption(f"{str(path)!r} does not exist. Name a COCO .json, ILSVRC's .csv or a folder of .xml files.")
    if path.suffix.lower() not in (".json", ".csv"):
        raise BadOption(f"Expected a .json, a .csv or a folder of .xml files as annotations, got {str(path)!r}.")
    try:
        return Annotations(*(of_coco(path) if path.suffix.lower() == ".json" else of_csv(path)))
    except (OSError, UnicodeError) as error:
        raise unreadable(path, error) from error


def _called(truth: Truth) -> str:
    return truth.paths[0] if truth.paths else truth.name


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
