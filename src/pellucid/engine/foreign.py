"""Errors inside methods and metrics of other packages, as errors that name the package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pellucid.capture.running import forward, is_out_of_memory
from pellucid.contracts import RegistryEntry
from pellucid.errors import PellucidError, Unexpected, said
from pellucid.plugins import Origin, origin_of


@contextmanager
def package_named(record: RegistryEntry) -> Iterator[None]:
    """Around the call of a record's function: what goes wrong in another package's is said to be its.

    Raises:
        Unexpected: instead of an error that arose in the package's own code, or in Pellucid's where that called it. An
            error of the network that it asked stays what it is, and so do out of memory and errors that users can mend.
    """
    try:
        yield
    except Exception as error:
        origin = origin_of(record)
        if origin is None or isinstance(error, PellucidError) or is_out_of_memory(error):
            raise
        innermost = _innermost(error, _root(record.function.__module__))
        if innermost is not None and innermost.f_code is forward.__code__:
            raise
        raise Unexpected(_words(record, origin, error, innermost)) from error


def _words(record: RegistryEntry, origin: Origin, error: Exception, innermost: FrameType | None) -> str:
    ours = innermost is not None and _root(innermost.f_globals.get("__name__")) == _OURS
    why = "a bug in that package, or in Pellucid" if ours else "that package's own code"
    return f"The {record.kind} {record.id!r} of the package {origin} failed: {said(error)}. This is {why}."


def _innermost(error: Exception, package: str) -> FrameType | None:
    """The last frame of this package or of Pellucid on the way to an error; those of libraries do not count."""
    found, step = None, error.__traceback__
    while step is not None:
        if _root(step.tb_frame.f_globals.get("__name__")) in (_OURS, package):
            found = step.tb_frame
        step = step.tb_next
    return found


def _root(module: str | None) -> str:
    """The package that a module is of."""
    return (module or "").partition(".")[0]


_OURS = _root(__name__)
