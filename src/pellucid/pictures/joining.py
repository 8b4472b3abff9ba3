"""Which entry of a list belongs to a picture: the one whose path agrees with the picture's for longest, from the end.

File names repeat (`red/1.jpg`, `green/1.jpg`), so a name without its folders says nothing; and folders move, so whole
paths are rarely the same. What cannot be decided is a clash, and is named.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from pellucid.errors import BadPicture

T = TypeVar("T")
Parts = tuple[str, ...]
_ENDING = re.compile(r"\.(jpe?g|jfif|png|webp|bmp|gif|tiff?|p[pgbn]m)$", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Agreement:
    """How well a path fits a picture's; greater is better.

    Attributes:
        folders: that are the same, counted from the end.
        undisputed: True if no folder differs: one of the two paths just ends.
        exact: True if the file's name has the same ending, too.
        votes: how many of the entry's paths name the file.
    """

    folders: int
    undisputed: bool
    exact: bool
    votes: int = 1


class Joined(Generic[T]):
    """Entries under the paths that they are written with.

    Args:
        entries: each with one or more paths; slashes of either kind part them, and an ending may be missing.
        what: an entry in words, for messages.
    """

    def __init__(self, entries: Iterable[tuple[Sequence[str], T]], what: Callable[[T], str]) -> None:
        self._what = what
        self._known: dict[str, list[tuple[tuple[Parts, ...], T]]] = defaultdict(list)
        for paths, entry in entries:
            every = tuple(dict.fromkeys(parts_of(path) for path in paths))
            for stem in dict.fromkeys(_stem(parts[-1]) for parts in every if parts):
                self._known[stem].append((every, entry))

    def of(self, file: str) -> T | None:
        """The entry of a picture file, None where there is none.

        Raises:
            BadPicture: several fit equally well.
        """
        found = self._best(file)
        return None if found is None else found[1]

    def of_all(self, files: Sequence[str]) -> list[T | BadPicture | None]:
        """The entries of several pictures: none is given to two of them. A clash stands in the place of its picture."""
        found: list[tuple[Agreement, T] | BadPicture | None] = []
        for file in files:
            try:
                found.append(self._best(file))
            except BadPicture as clash:
                found.append(clash)
        claims: dict[int, list[int]] = defaultdict(list)
        for k, each in enumerate(found):
            if isinstance(each, tuple):
                claims[id(each[1])].append(k)
        result: list[T | BadPicture | None] = [each[1] if isinstance(each, tuple) else each for each in found]
        for rivals in claims.values():
            for k, outcome in self._settled(rivals, files, found):
                result[k] = outcome
        return result

    def disputed(self, file: str) -> bool:
        """Whether a picture was found by its name alone, and the folders say otherwise."""
        found = self._best(file)
        return found is not None and not found[0].folders and not found[0].undisputed

    def _best(self, file: str) -> tuple[Agreement, T] | None:
        own = parts_of(absolute(file))
        if not own:
            return None
        rated = [(_agreement(own, paths), entry) for paths, entry in self._known.get(_stem(own[-1]), ())]
        if not rated:
            return None
        best = max(agreement for agreement, _ in rated)
        first, *others = [entry for agreement, entry in rated if agreement == best]
        if others:
            names = ", ".join(repr(self._what(entry)) for entry in (first, *others[:2]))
            raise BadPicture(
                f"{file!r} could be {names}{' and others' if len(others) > 2 else ''}: which one cannot be told from "
                "its path. Write the folders that tell them apart."
            )
        return best, first

    def _settled(
        self, rivals: list[int], files: Sequence[str], found: Sequence[tuple[Agreement, T] | BadPicture | None]
    ) -> Iterable[tuple[int, BadPicture | None]]:
        """What becomes of pictures that claim the same entry, except of the one that it belongs to."""
        claims = {k: each for k in rivals if isinstance(each := found[k], tuple)}
        best = max(agreement for agreement, _ in claims.values())
        winners = [k for k in rivals if claims[k][0] == best]
        yield from ((k, None) for k in rivals if k not in winners)
        if len({absolute(files[k]) for k in winners}) > 1:
            what = self._what(claims[winners[0]][1])
            names = " or ".join(repr(files[k]) for k in winners[:3])
            for k in winners:
                yield k, BadPicture(f"{what!r} could be of {names}. Write the folder that tells them apart.")


def told_apart(paths: Sequence[str]) -> list[str]:
    """The shortest ends of paths that tell them apart: file names, with as many folders as that takes."""
    every = [parts_of(absolute(path)) for path in paths]
    lengths = [1] * len(every)
    while True:
        shown = [parts[-length:] for parts, length in zip(every, lengths, strict=True)]
        meant: dict[Parts, set[Parts]] = defaultdict(set)
        for end, parts in zip(shown, every, strict=True):
            meant[end].add(parts)
        unclear = [k for k, end in enumerate(shown) if len(meant[end]) > 1 and lengths[k] < len(every[k])]
        if not unclear:
            return ["/".join(end) for end in shown]
        for k in unclear:
            lengths[k] += 1


def parts_of(path: str) -> Parts:
    """Folders and name; composed letters and letters with combining marks are the same."""
    return tuple(part for part in re.split(r"[/\\]+", unicodedata.normalize("NFC", path)) if part not in ("", "."))


def absolute(file: str) -> str:
    """The whole path of a file, through links as they are named; `sample:NAME` is the name alone."""
    if file.startswith("sample:"):
        return file.removeprefix("sample:")
    return os.path.abspath(Path(file).expanduser())  # noqa: PTH100 - resolve() would follow links to other names


def _agreement(own: Parts, paths: Sequence[Parts]) -> Agreement:
    """The best of an entry's paths, and how many of them name the file."""
    rated = [_of_path(own, path) for path in paths if path and _stem(path[-1]) == _stem(own[-1])]
    best = max(rated)
    return replace(best, votes=len(rated))


def _of_path(own: Parts, path: Parts) -> Agreement:
    folders = 0
    for mine, theirs in zip(own[-2::-1], path[-2::-1], strict=False):
        if mine != theirs:
            return Agreement(folders, undisputed=False, exact=own[-1] == path[-1])
        folders += 1
    return Agreement(folders, undisputed=True, exact=own[-1] == path[-1])


def _stem(name: str) -> str:
    """A file's name without the ending of a picture; other dots belong to the name."""
    return _ENDING.sub("", name)
