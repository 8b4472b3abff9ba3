"""Kept work: entries on disk that are found again by exactly the same question about exactly the same input."""

from __future__ import annotations

import hashlib
import secrets
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL
import torch
from PIL.Image import Image

from pellucid._version import __version__
from pellucid.contracts import Model, Picture
from pellucid.digests import LENGTH, digest, digest_of_file
from pellucid.errors import BadOption, MissingExtra, UnknownName
from pellucid.pictures import sample_path
from pellucid.storage.atomic import write_bytes

Parsed = TypeVar("Parsed")

SCHEMA = 1
"""Of the container; entries of another one are not found."""
_SEAL = hashlib.sha256().digest_size


def question(kind: str, model: Model | None = None, **facts: Any) -> str:
    """A digest of everything that decides the answer, besides the input.

    Args:
        kind: what is done, as in `top`; two kinds never share entries. Raise a number in it when the answer changes.
        model: weights, code and settings of the network, how it is fed and read, its class names, what else it takes.
            Its name and device do not count.
        facts: everything else: options with their defaults filled in, layers, targets, seed. Values of any type; a text
            that names a file counts by the file's content too.
    """
    versions = (__version__, str(torch.__version__), np.__version__, PIL.__version__)
    return digest(
        SCHEMA, versions, kind, None if model is None else (model.module, *model.reading), dict(sorted(facts.items()))
    )


def content_of(source: Any) -> str:
    """A digest of what an input holds, whatever it is called.

    Args:
        source: a path or `sample:NAME`; a picture, decoded or not; an array or a tensor; or any other value.

    Returns:
        A file counts by its bytes. One that cannot be read gets a digest that nothing else has, so that nothing is
        found for it.
    """
    if isinstance(source, str | Path):
        try:
            return digest_of_file(sample_path(str(source)) if str(source).startswith("sample:") else source)
        except (OSError, ValueError, UnknownName, MissingExtra):
            return secrets.token_hex(LENGTH // 2)
    if isinstance(source, Picture):
        return digest(source.tensor, source.box, content_of(source.image))
    if isinstance(source, Image):
        return digest(source.mode, source.size, source.tobytes(), source.getpalette(), dict(source.getexif()))
    return digest(source)


class Store:
    """Entries of one question in a folder, each a file of its own that appears whole.

    A file's name is made of the question's digest and the input's. Two runs on one folder, of the same question or of
    others, therefore never disagree about what a file means: they write the same, or other files. A file that was
    damaged is no entry. When there is no more room the work goes on without being kept, which is said once.

    Args:
        folder: where entries are; None keeps nothing. It is made with the first of them.
        question: see `question`.
    """

    def __init__(self, folder: Path | None, question: str) -> None:
        self.folder, self.question = folder, question
        self.full = False

    def read(self, content: str, part: str = "") -> bytes | None:
        """What was kept for an input, see `content_of`, exactly as it was written; None without a whole entry.

        Args:
            content: digest of the input.
            part: which of several things that are kept for it.
        """
        if self.folder is None:
            return None
        try:
            found = self._file(content, part).read_bytes()
        except OSError:
            return None
        seal, payload = found[:_SEAL], found[_SEAL:]
        return payload if seal == hashlib.sha256(payload).digest() else None

    def parsed(self, content: str, parse: Callable[[bytes], Parsed], part: str = "") -> Parsed | None:
        """As `read`, through what makes sense of the bytes; None of an entry that holds something else."""
        payload = self.read(content, part)
        try:
            return None if payload is None else parse(payload)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not what was kept here
            return None

    def has(self, content: str, part: str = "") -> bool:
        """Whether there is an entry, whole or damaged."""
        return self.folder is not None and self._file(content, part).exists()

    def write(self, content: str, payload: bytes, part: str = "") -> bool:
        """Keep something for an input, in place of what was there; returns whether it is on disk.

        Warns:
            UserWarning: the folder cannot be written to; once.
        """
        if self.folder is None:
            return False
        try:
            write_bytes(self._file(content, part), hashlib.sha256(payload).digest() + payload)
        except BadOption as error:
            if not self.full:
                warnings.warn(f"What is done cannot be kept for a later call: {error}", stacklevel=2)
            self.full = True
            with suppress(OSError):  # not the empty folder either
                self.folder.rmdir()
            return False
        return True

    def forget(self) -> None:
        """Remove all entries of this question, and the folder when nothing else is in it."""
        if self.folder is None:
            return
        for path in self._entries():
            with suppress(OSError):
                path.unlink()
        with suppress(OSError):
            self.folder.rmdir()

    def _entries(self) -> Iterable[Path]:
        with suppress(OSError):
            return sorted((self.folder or Path()).glob(f"{self.question}-*.kept"))
        return ()

    def _file(self, content: str, part: str) -> Path:
        return (self.folder or Path()) / f"{self.question}-{content}{'-' if part else ''}{part}.kept"
