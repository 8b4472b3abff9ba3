"""The files that the README and the pages of docs/ speak of, made from pictures that installed packages carry."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw

from pellucid.errors import BadOption, MissingExtra
from pellucid.paths import usable_path
from pellucid.pictures.samples import sample_path
from pellucid.storage.atomic import as_png, complete

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the whole photograph."""


@dataclass(frozen=True)
class _Subject:
    """A photograph with one thing on it.

    Attributes:
        name: of its file and folder, and its sample's.
        label: the thing's name among the classes of ImageNet.
        box: around the thing, drawn by hand.
        part: what the masks are of.
        ellipses: boxes of the ellipses that cover the part, drawn by hand.
    """

    name: str
    label: str
    box: Box
    part: str
    ellipses: tuple[Box, ...]


_SUBJECTS = (
    _Subject("cat", "tiger cat", (30, 0, 375, 300), "eye", ((135, 85, 206, 146), (298, 110, 346, 166))),
    _Subject("coffee", "espresso", (172, 18, 412, 300), "cup", ((172, 18, 400, 210), (185, 110, 385, 300))),
    _Subject("rocket", "missile", (308, 127, 334, 405), "rocket", ((304, 110, 338, 420),)),
)
_CROPS = 4
"""Squares cut from each photograph, from its left side to its right one."""

_OWN_MODEL = '''"""A network of one's own, as a file that Pellucid reads: pellucid explain photo.jpg --model mine.py."""

import pellucid
import torch
from torch import nn


def model():
    """Put your network here, and what it expects. This one has learned nothing: its weights are random."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3),
    )
    return pellucid.wrap(network, size=64, mean=[0.5] * 3, std=[0.25] * 3, classes=["cat", "coffee", "rocket"])
'''

_SOURCES = """Where these files are from

cat, photo.jpg: Stefan van der Walt, CC0. coffee: Rachel Michetti, CC0. rocket: SpaceX, public domain.
All three come with scikit-image; the files in photos/ are cut out of them, the boxes and masks were drawn by hand.
holiday/temple.jpg: danielbuechele, CC BY 2.0, https://www.flickr.com/photos/danielbuechele/6061409035
holiday/flower.jpg: vultilion, CC BY 2.0, https://www.flickr.com/photos/vultilion/6056698931
Both come with scikit-learn, as do the digits (UCI, optical recognition of handwritten digits), here enlarged.
"""


def samples(folder: str | Path) -> list[Path]:
    """Write the files that the README and docs/ speak of: photographs, digits, masks, boxes, a network of one's own.

    What stands there already is left alone: equal files are not written again, and other files of these names are
    refused before anything is written.

    Args:
        folder: path of the folder to write to; made if need be.

    Returns:
        The paths of all files, sorted.

    Raises:
        BadOption: the folder cannot be written to, or holds another file of one of the names.
        MissingExtra: scikit-image or scikit-learn, which bring the pictures, are not installed.
    """
    place = usable_path(folder, "the folder for samples")
    if place.exists() and not place.is_dir():
        raise BadOption(f"{str(place)!r} is a file. Name a folder for the samples.")
    files = dict(_files())
    taken = [name for name, content in files.items() if _other(place / name, content)]
    if taken:
        raise BadOption(
            f"{str(place / taken[0])!r} is there already and is no sample, so it would be lost. Name another folder."
        )
    with complete(place) as staging:
        for name, content in files.items():
            if not (place / name).exists():
                (staging / name).parent.mkdir(parents=True, exist_ok=True)
                (staging / name).write_bytes(content)
    return sorted(place / name for name in files)


def _other(path: Path, content: bytes) -> bool:
    """Whether something else is there."""
    return path.exists() and not (path.is_file() and path.read_bytes() == content)


def _files() -> Iterator[tuple[str, bytes]]:
    """Every file, by its path in the folder."""
    yield "photo.jpg", _jpeg(_photograph("cat"))
    yield "holiday/temple.jpg", (_of_learn("images") / "china.jpg").read_bytes()
    yield "holiday/flower.jpg", (_of_learn("images") / "flower.jpg").read_bytes()
    for subject in _SUBJECTS:
        whole = _photograph(subject.name)
        yield f"val/{subject.name}.jpg", _jpeg(whole)
        yield f"Annotations/{subject.name}.xml", _as_xml(subject, whole.size)
        for number, (square, mask) in enumerate(_cut(whole, subject), 1):
            name = f"{subject.name}-{number}"
            yield f"photos/{subject.name}/{name}.jpg", _jpeg(square)
            yield f"masks/{subject.part}/{name}.png", as_png(mask)
    yield "instances_val.json", _as_coco()
    yield "names.txt", "".join(f"{subject.name}\n" for subject in _SUBJECTS).encode()
    yield "mine.py", _OWN_MODEL.encode()
    yield "SOURCES.txt", _SOURCES.encode()
    for digit, image in enumerate(_digits()):
        yield f"digits/{digit}.png", as_png(image)
    yield "digit.png", as_png(_digits()[7])


@cache
def _photograph(name: str) -> Image.Image:
    with Image.open(sample_path(name)) as image:
        return image.convert("RGB")


def _jpeg(image: Image.Image) -> bytes:
    content = BytesIO()
    image.save(content, "JPEG", quality=90)
    return content.getvalue()


def _cut(whole: Image.Image, subject: _Subject) -> Iterator[tuple[Image.Image, Image.Image]]:
    """Squares as high as the photograph, with their masks."""
    mask = Image.new("L", whole.size)
    for ellipse in subject.ellipses:
        ImageDraw.Draw(mask).ellipse(ellipse, fill=255)
    for k in range(_CROPS):
        left = k * (whole.width - whole.height) // (_CROPS - 1)
        box = (left, 0, left + whole.height, whole.height)
        yield whole.crop(box), mask.crop(box)


def _as_coco() -> bytes:
    """The boxes of `val/` in the layout of COCO."""
    images, boxes, names = [], [], []
    for number, subject in enumerate(_SUBJECTS, 1):
        left, top, right, bottom = subject.box
        width, height = _photograph(subject.name).size
        images.append({"id": number, "file_name": f"{subject.name}.jpg", "width": width, "height": height})
        names.append({"id": number, "name": subject.label})
        box = [left, top, right - left, bottom - top]
        boxes.append({"id": number, "image_id": number, "category_id": number, "bbox": box, "iscrowd": 0})
    document = {"images": images, "categories": names, "annotations": boxes}
    return json.dumps(document, indent=1).encode()


def _as_xml(subject: _Subject, size: tuple[int, int]) -> bytes:
    """The box of a picture in the layout of Pascal VOC, named as in `names.txt`."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = f"{subject.name}.jpg"
    sides = ElementTree.SubElement(root, "size")
    left, top, right, bottom = subject.box
    thing = ElementTree.SubElement(root, "object")
    ElementTree.SubElement(thing, "name").text = subject.name
    box = ElementTree.SubElement(thing, "bndbox")
    for parent, names, values in (
        (sides, ("width", "height", "depth"), (*size, 3)),
        (box, ("xmin", "ymin", "xmax", "ymax"), (left + 1, top + 1, right, bottom)),  # VOC counts from 1
    ):
        for name, value in zip(names, values, strict=True):
            ElementTree.SubElement(parent, name).text = str(value)
    return ElementTree.tostring(root)


@cache
def _digits() -> tuple[Image.Image, ...]:
    """0 to 9, white on black, 28 pixels a side with a margin of 4, as those of MNIST."""
    # The file's first ten rows are one of each, in order: 64 values from 0 to 16, then the digit.
    table = np.loadtxt(_of_learn("data") / "digits.csv.gz", delimiter=",", max_rows=10)
    return tuple(_digit(row[:-1].reshape(8, 8)) for row in table)


def _digit(values: np.ndarray) -> Image.Image:
    image = Image.new("L", (28, 28))
    small = Image.fromarray(np.round(values * (255 / 16)).astype(np.uint8))
    image.paste(small.resize((20, 20), Image.Resampling.BICUBIC), (4, 4))
    return image


def _of_learn(part: str) -> Path:
    """A folder with scikit-learn's data; the library is not imported, which takes a second."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("Some of the samples come with scikit-learn: pip install scikit-learn.")
    return Path(spec.submodule_search_locations[0]) / "datasets" / part
