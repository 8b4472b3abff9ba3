"""Names of files that are still being written, and the end of those whose writer was killed."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

PREFIX = ".pellucid-"
_NAME = re.compile(r"\.pellucid-(?:(?P<home>[0-9a-f]{8})-(?P<process>[0-9]+)-)?[0-9a-f]{12}")
_OLD = 7 * 24 * 3600.0
"""Seconds after which what nobody has touched is stray, wherever its writer ran."""
_swept: set[Path] = set()


def part_name() -> str:
    """A name that no other writer takes, and that says who writes: `.pellucid-HOME-PROCESS-RANDOM`."""
    return f"{PREFIX}{_home()}-{os.getpid()}-{secrets.token_hex(6)}"


def sweep(folder: Path) -> None:
    """Remove from a folder what writers have left there that are no more; once for each process and folder.

    What a living process writes stays, as does what another machine wrote in the last week.
    """
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError):
        for path in [path for path in folder.iterdir() if path.name.startswith(PREFIX)]:
            if _is_stray(path):
                _remove(path)


def _is_stray(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return False
    if match["home"] == _home() and os.name == "posix":
        return not _lives(int(match["process"]))
    with suppress(OSError):
        return time.time() - path.lstat().st_mtime > _OLD
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks only
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it belongs to someone else
        return True
    return True


@cache
def _home() -> str:
    """Where process numbers mean the same: the machine, and on Linux the container in it."""
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - Path.readlink would look for a file of that name
    except OSError:
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]
