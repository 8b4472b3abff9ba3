"""Records in other people's packages, found by entry points: methods, metrics, kinds of input, recognisers of models.

Nothing is looked for before something is asked for, and no package is imported before its group is. What cannot be used
is left out and said in one line, with the package's name; it never ends the program. See docs/plugins.md.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import Any, Literal, get_args

from pellucid.errors import said

Group = Literal["methods", "metrics", "modalities", "models"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""Entry points are declared in `pellucid.methods` and so on."""

_ONE = {"modalities": "modality"}
_PREFIX = "pellucid."
_FILE = "entry_points.txt"


class Unusable(Exception):
    """Why a record cannot be used; it never leaves this file."""


@dataclass(frozen=True)
class Origin:
    """The package that something comes from: its name and version, as installed."""

    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}".strip()


@dataclass(frozen=True)
class Plugin:
    """One entry point: the name it has there, where it points to, and whose it is."""

    name: str
    group: Group
    origin: Origin
    load: Callable[[], Any]


@dataclass(frozen=True)
class Problem:
    """What cannot be used of a package, and why."""

    origin: Origin
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what} of the package {self.origin} is left out: {self.why}"


_problems: list[Problem] = []
_origins: dict[int, tuple[Any, Origin]] = {}


def problems() -> tuple[Problem, ...]:
    """What could not be used so far."""
    return tuple(_problems)


def origins() -> tuple[Origin, ...]:
    """The packages of all records that are in use so far, each once, by name."""
    return tuple(sorted({origin for _, origin in _origins.values()}, key=str))


def origin_of(record: Any) -> Origin | None:
    """Whose record it is; None for those that are Pellucid's own or made by hand."""
    kept, origin = _origins.get(id(record), (None, None))
    return origin if kept is record else None


def identity_of(record: Any) -> tuple[Any, ...]:
    """What tells another package's record from its next version, for digests; empty of Pellucid's own."""
    origin = origin_of(record)
    return () if origin is None else (str(origin), record.function)


def records_of(group: Group, accept: Callable[[Any], Any]) -> Mapping[str, Any]:
    """All records of a group that can be used, by id. Of two with one id the first package by alphabet keeps it.

    Args:
        group: which entry points.
        accept: looks at what an entry point names and returns the record to use, which has an `id`; raises what is
            wrong with it, as `Unusable` or any other error.

    Warns:
        UserWarning: one line for each that cannot be used.
    """
    found: dict[str, Any] = {}
    for plugin in _scan():
        if plugin.group != group:
            continue
        try:
            record = accept(_loaded(plugin))
            if record.id in found:
                raise Unusable(f"the package {origin_of(found[record.id])} has the id {record.id!r} already.")
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - an import may raise anything, even the end of the program
            leave_out(plugin.origin, f"The {_ONE.get(group, group.removesuffix('s'))} {plugin.name!r}", error)
            continue
        found[record.id] = record
        _origins[id(record)] = (record, plugin.origin)
    return MappingProxyType(found)


def leave_out(origin: Origin, what: str, error: BaseException | str) -> None:
    """Say in one line, once, that something of a package is not used."""
    why = str(error) if isinstance(error, str | Unusable) else f"{said(error)}."
    problem = Problem(origin, " ".join(what.split()), " ".join(why.split()))
    if problem in _problems:
        return
    _problems.append(problem)
    try:
        warnings.warn(str(problem), UserWarning, stacklevel=2)
    except UserWarning:  # who makes errors of warnings shall not lose all methods to one package
        sys.stderr.write(f"Warning: {problem}\n")


def _loaded(plugin: Plugin) -> Any:
    """What an entry point names; what its package prints on its import must not stand among results."""
    with contextlib.redirect_stdout(sys.stderr):
        return plugin.load()


@cache
def _scan() -> tuple[Plugin, ...]:
    """Every entry point for Pellucid, by package and name. Of two installations of a package the first on the path."""
    seen: dict[str, list[Plugin]] = {}
    for distribution in metadata.distributions():
        declared = _declared(distribution)
        if _PREFIX not in declared:
            continue
        origin = _origin(distribution)
        if origin.package not in seen:
            seen[origin.package] = list(_plugins(distribution, origin))
    found = [plugin for plugins in seen.values() for plugin in plugins]
    return tuple(sorted(found, key=lambda plugin: (plugin.origin.package, plugin.name)))


def _declared(distribution: metadata.Distribution) -> str:
    """The text of a package's entry points; "" without any. Reading them all is all that a scan costs."""
    try:
        return distribution.read_text(_FILE) or ""
    except (OSError, UnicodeDecodeError):  # of packages that may have nothing to do with Pellucid
        return ""


def _origin(distribution: metadata.Distribution) -> Origin:
    try:
        return Origin(str(distribution.metadata["Name"]), str(distribution.version))
    except Exception:  # noqa: BLE001 - of a damaged installation nothing is known but where it lies
        return Origin(str(distribution.locate_file("")), "")


def _plugins(distribution: metadata.Distribution, origin: Origin) -> Iterator[Plugin]:
    try:
        points = list(distribution.entry_points)
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of it
        leave_out(origin, "Everything", f"its {_FILE} cannot be read ({said(error)}).")
        return
    for point in points:
        group = point.group.removeprefix(_PREFIX)
        if not point.group.startswith(_PREFIX):
            continue
        if group in GROUPS:
            yield Plugin(point.name, group, origin, point.load)
        else:
            known = ", ".join(f"{_PREFIX}{each}" for each in GROUPS)
            leave_out(origin, f"The entry point {point.name!r}", f"there is no group {point.group!r}, only {known}.")
