"""Which pictures the user means: files, folders and bundled sample photographs."""

from __future__ import annotations

import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid.errors import MissingExtra, unknown
from pellucid.pictures.joining import told_apart

SAMPLES = {"astronaut": "astronaut.png", "cat": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg"}
"""Photographs that scikit-image installs, by the name that stands after `sample:`."""

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
)
"""Endings of the files that a folder contributes. A file that is named itself may end in anything."""


_RESULTS = "manifest.json"  # in each folder that `explain` wrote


@dataclass(frozen=True)
class PictureRef:
    """A picture that the user asked for; it may still turn out to be missing or damaged.

    Attributes:
        name: for people: the file's name, below the folder that was asked for and with more folders in front where
            names repeat; or the sample's name without `sample:`. Not unique where a picture is asked for twice.
            Untrusted text.
        source: what `decode` and `prepare` take: a path, or `sample:NAME`.
    """

    name: str
    source: str


def find_pictures(arguments: Iterable[str]) -> list[PictureRef]:
    """Expand files, folders and `sample:NAME` in the order given.

    A folder gives its picture files, sorted as people count: `2.png` before `10.png`. One without any gives those of
    its folders, as in `val/cat/1.png` and `val/dog/1.png`, where a folder stands for a class.
    What cannot be used stays in the list as it is, so that one bad entry never stops the others: `decode` then
    says what is wrong with a missing file, an empty folder or an unknown sample.
    """
    every = [found for argument in arguments for found in _expand(argument)]
    names = names_apart([found.source for found in every])
    return [found if name is None else PictureRef(name, found.source) for found, name in zip(every, names, strict=True)]


def names_apart(sources: Sequence[Any]) -> list[str | None]:
    """Names for people where file names repeat: as many folders as tell the files apart; None for all others."""
    paths = [os.fspath(each) if isinstance(each, str | os.PathLike) else "" for each in sources]
    files = ["" if path.startswith("sample:") else path for path in paths]
    names = Counter(Path(each).name for each in files if each)
    repeated = [k for k, each in enumerate(files) if each and names[Path(each).name] > 1]
    found: list[str | None] = [None] * len(files)
    for k, name in zip(repeated, told_apart([files[k] for k in repeated]), strict=True):
        found[k] = name
    return found


def expanded(sources: Sequence[Any]) -> list[Any]:
    """Sources of pictures with the pictures of each folder in its place; what is no path stays as it is."""
    return [each for source in sources for each in _inside(source)]


def _inside(source: Any) -> list[Any]:
    if not isinstance(source, str | os.PathLike) or not Path(os.fspath(source)).is_dir():
        return [source]
    return [found.source for found in find_pictures([os.fspath(source)])]


def sample_path(name: str) -> Path:
    """Where a sample photograph lies.

    Args:
        name: a key of `SAMPLES`, with or without `sample:` in front.

    Raises:
        UnknownName: no sample has this name; the message lists them.
        MissingExtra: scikit-image, which brings the photographs, is not installed.
    """
    name = name.removeprefix("sample:")
    if name not in SAMPLES:
        raise unknown("sample", name, SAMPLES, f"Samples: {', '.join(SAMPLES)}.")
    spec = importlib.util.find_spec("skimage")  # finds the folder without importing the library, which takes a second
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("The sample photographs come with scikit-image: pip install scikit-image.")
    return Path(spec.submodule_search_locations[0]) / "data" / SAMPLES[name]


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, in natural order, without hidden files; empty if it cannot be read."""
    try:
        files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
        return sorted((p for p in files if p.is_file()), key=_natural)
    except OSError:
        return []


def _expand(argument: str) -> list[PictureRef]:
    if argument.startswith("sample:"):
        return [PictureRef(argument.removeprefix("sample:"), argument)]
    if not argument:
        return [PictureRef("", "")]  # not the folder that one is in
    path = Path(argument)
    inside = pictures_in(path) or _of_classes(path)
    return [PictureRef(p.relative_to(path).as_posix(), str(p)) for p in inside] or [
        PictureRef(path.name or argument, argument)
    ]


def _of_classes(folder: Path) -> list[Path]:
    """The pictures in the folders of a folder that has none itself; what Pellucid wrote is none of them."""
    try:
        folders = [each for each in folder.iterdir() if not each.name.startswith((".", "pellucid-")) and each.is_dir()]
        return [
            p for each in sorted(folders, key=_natural) if not (each / _RESULTS).exists() for p in pictures_in(each)
        ]
    except OSError:
        return []


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"([0-9]+)", path.name.lower())
    key = [(1, int(part), "") if part.isdecimal() else (2, 0, part) for part in parts if part]
    return [*key, (0, 0, path.name)]  # the last part tells `a.png` from `A.png`
