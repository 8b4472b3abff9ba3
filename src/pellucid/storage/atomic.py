"""Files that appear completely or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.errors import BadOption
from pellucid.storage.stray import part_name, sweep

if TYPE_CHECKING:
    from PIL.Image import Image


@contextmanager
def complete(folder: Path) -> Iterator[Path]:
    """Hands out an empty folder to write into; what it holds then moves to `folder` when all went well.

    A new folder appears in one step. In one that exists, each file replaces its namesake in one step, and all others
    stay. After an error or an interrupt before that, nothing of it is left; what a killed process has left there or
    beside it goes as well.

    Raises:
        BadOption: the folder cannot be written to.
    """
    with writing(folder):
        folder = folder.expanduser().resolve()
        exists = folder.is_dir()
        # A folder that exists may be a mount point: only inside of it moving is sure to be one step.
        staging = (folder if exists else folder.parent) / part_name()
        for place in (folder, folder.parent):
            sweep(place)
        staging.mkdir(parents=True)
        try:
            yield staging
            if exists:
                _replace(staging, folder)
            else:
                _appear(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def write_text(path: Path, text: str) -> Path:
    """As `write_bytes`, for text."""
    return write_bytes(path, encode(text))


def write_bytes(path: Path, content: bytes) -> Path:
    """Write one file, complete or not at all, in place of one that exists.

    Raises:
        BadOption: it cannot be written.
    """
    with writing(path):
        target = path.expanduser().resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        part = target.parent / part_name()
        try:
            part.write_bytes(content)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return path


def as_png(image: Image) -> bytes:
    """A picture as the content of a PNG file."""
    content = BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def encode(text: str) -> bytes:
    """UTF-8; parts of file names that are not text (lone surrogates) become question marks."""
    return text.encode("utf-8", "replace")


def _appear(staging: Path, folder: Path) -> None:
    try:
        staging.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        _replace(staging, folder)  # another process has made it meanwhile


def _replace(staging: Path, folder: Path) -> None:
    for file in sorted(path for path in staging.rglob("*") if not path.is_dir()):
        target = folder / file.relative_to(staging)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says in one sentence that a place cannot be written to.

    Raises:
        BadOption: something inside failed at it.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadOption(f"Cannot write to {str(path)!r}: {reason}. Name another place, or make room there.") from error
