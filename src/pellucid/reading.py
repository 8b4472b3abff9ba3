"""`pellucid.read`: results as they were saved."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pellucid.errors import BadResult
from pellucid.storage.values import NAME, SavedResult, from_file

PARTS = (
    "capture", "comparison", "contracts", "engine", "evaluation", "explanation", "feature_visualisation", "held",
    "inspection", "localisation", "targets",
)  # fmt: skip
"""Where the values are at home that a saved result may be made of; no others are made from a file."""


def read(path: str | Path) -> Any:
    """A result as it was saved: the same class, equal values, every number of a map bit by bit.

    What is read can be looked at, drawn, reported and saved again. It holds no network: what would ask the network
    raises `Refused`, which names what loads it. Tensors are on the CPU.

    Args:
        path: the folder that an `Explanation`, `Comparison`, `Localisation`, `Inspection`, `Dissection` or
            `TopPictures` was saved in, by Python or by `--out`; or one of the files of a dream (`dream.png` and what
            stands beside it).

    Raises:
        BadResult: there is no result there, it is damaged, or a newer version of Pellucid wrote it.
    """
    return saved(path).value


def saved(path: str | Path) -> SavedResult:
    """As `read`, with when it was saved and by which version."""
    return from_file(_file(Path(path).expanduser()), class_of)


def _file(path: Path) -> Path:
    if path.is_file():
        beside = path.with_suffix(".npz")
        if beside.is_file():
            return beside
        raise BadResult(f"There are no numbers beside {str(path)!r}: {beside.name} is missing. Save the result again.")
    if not path.is_dir():
        raise BadResult(f"There is no folder {str(path)!r}. Name one that a result was saved in.")
    if (path / NAME).is_file():
        return path / NAME
    inside = sorted(each.parent for each in path.glob(f"*/{NAME}"))
    if len(inside) == 1:
        return inside[0] / NAME
    if inside:
        named = ", ".join(repr(str(each)) for each in inside[:6])
        raise BadResult(
            f"{str(path)!r} holds {len(inside)} results, each in a folder of its own. Name one: {named}"
            f"{', ...' if len(inside) > 6 else ''}."
        )
    above = f" Its numbers are with those of the whole call: read {str(path.parent)!r}."
    above = above if (path / "manifest.json").is_file() and (path.parent / NAME).is_file() else ""
    raise BadResult(f"{str(path)!r} holds no {NAME}, so no result can be read from it.{above}")


def class_of(name: str) -> type:
    """The class of this name.

    Raises:
        LookupError: no result is made of it.
    """
    return _classes()[name]


@cache
def _classes() -> dict[str, type]:
    modules = [module for part in PARTS for module in _all_of(importlib.import_module(f"pellucid.{part}"))]
    return {
        each.__name__: each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and is_dataclass(each) and each.__module__.startswith("pellucid.")
    }


def _all_of(part: ModuleType) -> Iterator[ModuleType]:
    """A module, and if it is a package all that are in it."""
    yield part
    for each in pkgutil.walk_packages(getattr(part, "__path__", ()), f"{part.__name__}."):
        yield importlib.import_module(each.name)
