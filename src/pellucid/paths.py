"""Paths that were typed, checked before anything is asked of the file system."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from pellucid.errors import BadOption


def usable_path(given: Any, name: str) -> Path:
    """A path that the file system can be asked about, whether or not anything is there.

    Raises:
        BadOption: it is empty, too long or holds NUL, or its links lead in a circle.
    """
    try:
        found = Path(given).expanduser()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found.stat()
        found.resolve()
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadOption(f"{given!r:.80} cannot be a path ({reason}). Name another as {name}.") from error
    if not str(given):
        raise BadOption(f"The path given as {name} is empty.")
    return found
