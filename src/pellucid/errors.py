"""Every error that Pellucid raises on purpose.

    PellucidError
    ├── BadOption (ValueError)          a value that a method, target or flag does not take
    ├── UnknownName (LookupError)       a class, layer, method, model or sample that does not exist
    ├── BadSample (ValueError)          a file or array that is not a usable signal, table, ...
    │   └── BadPicture                  ... or picture
    ├── BadModel (ValueError)           a model that cannot be loaded, or weights that do not fit
    ├── BadResult (ValueError)          a file or folder that no result can be read from
    ├── BadSite (ValueError)            a layer that cannot answer what a method asks of it
    ├── Refused (RuntimeError)          the answer would be wrong for this model; the message says why
    ├── OutOfMemory (MemoryError)       even one sample at a time does not fit
    ├── TraceLeft (RuntimeError)        the model changed during a pass and could not be put back
    ├── BadOutput (TypeError)           the model's output cannot be scored
    ├── MissingExtra (ImportError)      an optional library is not installed
    ├── Unexpected (RuntimeError)       something else went wrong with one input, in the model's code or in Pellucid's
    └── Cancelled (KeyboardInterrupt)   the caller stopped the work; what was finished is kept

Each message says what was expected, what came, where, and one next step. The command line prints it as one
paragraph: exit status 2 for misuse, 3 for bad input data.
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class PellucidError(Exception):
    """Base of all errors that a user can mend; `exit_code` is what the command line returns for it."""

    exit_code = 2


class BadOption(PellucidError, ValueError):
    """A value that a method, target or flag does not take."""


class UnknownName(PellucidError, LookupError):
    """A name that does not exist; the message offers near ones."""


class BadSample(PellucidError, ValueError):
    """A file or array that is not a usable sample of its kind, such as a signal."""

    exit_code = 3


class BadPicture(BadSample):
    """A file or array that is not a usable picture."""


class BadModel(PellucidError, ValueError):
    """A model that cannot be loaded, or weights that do not fit it."""

    exit_code = 3


class BadResult(PellucidError, ValueError):
    """A file or folder that holds no result, a damaged one, or one that a newer Pellucid wrote."""

    exit_code = 3


class BadSite(PellucidError, ValueError):
    """A layer that cannot answer what a method asks of it."""


class Refused(PellucidError, RuntimeError):
    """The method would give a wrong answer for this model, so it gives none."""


class OutOfMemory(PellucidError, MemoryError):
    """Even one sample at a time does not fit into the device's memory."""

    exit_code = 3


class TraceLeft(PellucidError, RuntimeError):
    """The model changed its own parameters during a pass, which cannot be undone."""


class BadOutput(PellucidError, TypeError):
    """The model's output cannot be turned into one score per sample."""


class MissingExtra(PellucidError, ImportError):
    """An optional library is needed and not installed."""


class Unexpected(PellucidError, RuntimeError):
    """What nobody foresaw went wrong with one input, in the model's own code or in Pellucid's; the cause says more."""

    exit_code = 1


class Cancelled(PellucidError, KeyboardInterrupt):
    """The caller stopped the work.

    Attributes:
        finished: the `Explanation` of everything that was complete by then, or None.
    """

    exit_code = 130

    def __init__(self, message: str, finished: Any = None) -> None:
        super().__init__(message)
        self.finished = finished


NOTHING_FOUND = 4
"""Exit status of a command that did what was asked, and found nothing of what it was to save."""


def exit_code(errors: Iterable[PellucidError], *, interrupted: bool) -> int:
    """Of a command that goes on after an error: interrupted, or the gravest error, or 0."""
    return Cancelled.exit_code if interrupted else max((error.exit_code for error in errors), default=0)


def said(error: BaseException) -> str:
    """The kind of an error, its text, and where it came from, as in `ValueError: too large (net.py, line 7)`."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a foreign error may fail at that as well
        text = "it cannot say why"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{where}"


_LONGEST = 200
"""Characters of a name that an error repeats."""


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownName:
    """An `UnknownName` that offers up to three near names."""
    known = list(known)
    name = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
    near = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=3, cutoff=0.5)
    shown = [k for n in near for k in known if k.lower() == n]
    offer = f" Did you mean {' or '.join(repr(s) for s in dict.fromkeys(shown))}?" if shown else ""
    return UnknownName(f"There is no {kind} {name!r}.{offer}{' ' + hint if hint else ''}")
