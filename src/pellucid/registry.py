"""Methods and metrics, found by looking: a module in `methods/` with a `METHOD`, in `metrics/` with a `METRIC`.

Those of other packages are found by entry points, see `plugins/`, and come after Pellucid's own.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Protocol

from pellucid.contracts import Method, Metric, Model, RegistryEntry
from pellucid.errors import BadOption, unknown
from pellucid.held import Held, held_tensor, is_tensor
from pellucid.plugins import Group, Unusable, check_record, records_of, with_checked_result

DEFAULT_METHODS = ("grad-cam", "guided-backprop", "saliency", "occlusion")
"""What `explain` runs when no method is named: where in a late layer, where in pixels, and what if it were hidden."""

OWN = "own-mask"
"""What it runs besides of networks that explain themselves."""

MOST = 10_000_000
"""No count, length or rate of a method is larger: memory and time would have no end. Methods may allow less."""


class HasOptions(Protocol):
    """What options belong to: a method, or another record with a function whose keyword-only parameters they are."""

    @property
    def kind(self) -> str:
        """What such a record is called."""

    @property
    def id(self) -> str:
        """As on the command line."""

    @property
    def function(self) -> Callable[..., Any]:
        """Its annotations say which types the options take."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Option names with their default values."""


TAKEN = frozenset({"auto", "centre", "edges", "random"})
"""Ids that would be read as something else: the method that was found best, and the maps of the controls."""


@cache
def methods() -> Mapping[str, Method]:
    """All methods by id, in alphabetical order.

    Warns:
        UserWarning: one of another package cannot be used; a line for each.
    """
    return _with_plugins("methods", _found("methods", "METHOD"), Method, _names("metrics"))


@cache
def metrics() -> Mapping[str, Metric]:
    """All metrics by id, in alphabetical order.

    Warns:
        UserWarning: one of another package cannot be used; a line for each.
    """
    return _with_plugins("metrics", _found("metrics", "METRIC"), Metric, methods())


def default_methods(model: Model) -> tuple[str, ...]:
    """Ids of what runs for this model when no method is named."""
    return DEFAULT_METHODS if model.mask is None else (*DEFAULT_METHODS, OWN)


def _found(folder: str, constant: str) -> Mapping[str, Any]:
    found: dict[str, RegistryEntry] = {}
    package = importlib.import_module(f"pellucid.{folder}")
    for info in pkgutil.iter_modules(package.__path__):
        entry = getattr(importlib.import_module(f"pellucid.{folder}.{info.name}"), constant, None)
        if entry is None:
            continue
        if entry.id in found:
            raise RuntimeError(f"two {folder} are called {entry.id!r}; the second is in {info.name}.py")
        found[entry.id] = entry
    return MappingProxyType(dict(sorted(found.items())))


def _names(folder: str) -> frozenset[str]:
    """Ids as the files of a folder spell them, which imports none of them."""
    package = importlib.import_module(f"pellucid.{folder}")
    return frozenset(info.name.replace("_", "-") for info in pkgutil.iter_modules(package.__path__))


def _with_plugins(
    group: Group, own: Mapping[str, Any], kind: type[RegistryEntry], others: Container[str]
) -> Mapping[str, Any]:
    """Pellucid's own records and those of other packages, none of which has the id of another.

    Args:
        group: of entry points.
        own: Pellucid's records.
        kind: what a record must be.
        others: ids of the other kind of record; options of both kinds share the command line.
    """

    def accept(record: Any) -> Any:
        check_record(record, kind)
        if record.id in own or record.id in others or record.id in TAKEN:
            raise Unusable(f"the id {record.id!r} is taken by Pellucid itself.")
        _check_options(record)
        return with_checked_result(record)

    return MappingProxyType(dict(sorted({**own, **records_of(group, accept)}.items())))


def _check_options(record: RegistryEntry) -> None:
    """Whether all options of a record have types that can be given, and defaults of these types."""
    for name in record.options:
        kinds = _kinds(record, name)
        if strange := [kind for kind in kinds if kind not in _WORDS and not kind.startswith(_FUNCTION)]:
            known = ", ".join(_WORDS)
            raise Unusable(f"its option {name!r} is of type {strange[0]}; expected {known} or a union of these.")
    fill_options(record, {})


def find_method(name: str) -> Method:
    """The method with this id.

    Raises:
        UnknownName: there is none; the message offers near ids.
    """
    if name not in methods():
        raise unknown("method", name, methods(), "`pellucid methods` lists all.")
    return methods()[name]


def find_metric(name: str) -> Metric:
    """The metric with this id.

    Raises:
        UnknownName: there is none; the message offers near ids.
    """
    if name not in metrics():
        raise unknown("metric", name, metrics(), "`pellucid.metrics()` lists all.")
    return metrics()[name]


def fill_options(entry: HasOptions, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a record: the given ones over the defaults, numbers and switches checked by type.

    Raises:
        BadOption: an unknown option, or a value of another type than the default's.
    """
    for name in given:
        if name not in entry.options:
            known = ", ".join(entry.options) or "none"
            raise BadOption(f"The {entry.kind} {entry.id!r} has no option {name!r}. Its options: {known}.")
    return {name: _check(entry, name, given.get(name, default)) for name, default in entry.options.items()}


def _check(entry: HasOptions, name: str, value: Any) -> Any:
    kinds = _kinds(entry, name)
    if isinstance(value, Held):
        value = value.value
    if is_tensor(value) and _TENSOR in kinds:
        return held_tensor(value, f"the option {name!r} of {entry.id!r}")
    if isinstance(value, Mapping) and _TABLE in kinds:
        return _as_text(entry, name, value)
    if callable(value) and any(kind.startswith(_FUNCTION) for kind in kinds):
        return Held(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadOption(f"Expected a finite number for the option {name!r} of {entry.id!r}, got {value}.")
    if isinstance(value, tuple | list) and {type(part) for part in value} == {int} and _takes(kinds, len(value)):
        return tuple(value)
    given = "None" if value is None else type(value).__name__
    if given in ("int", "float") and "seed" not in name and abs(value) > MOST:
        raise BadOption(f"Expected at most {MOST:,} for the option {name!r} of {entry.id!r}, got {value!r:.40}.")
    if given in kinds:
        return value
    if "float" in kinds and given == "int":
        return float(value)
    raise BadOption(f"Expected {_in_words(kinds)} for the option {name!r} of {entry.id!r}, got {value!r:.200}.")


def _takes(kinds: Sequence[str], sizes: int) -> bool:
    """Whether so many sizes are a value of these types."""
    return _SIZES in kinds or (_PAIR in kinds and sizes == 2)


def _as_text(entry: HasOptions, name: str, table: Mapping[Any, Any]) -> str:
    """A table as it is written on the command line: `key=value,key=value`."""
    for text in (*table.keys(), *table.values()):
        if not isinstance(text, str) or not text.strip() or set(text) & set("=,"):
            raise BadOption(
                f"Expected texts without '=' and ',' in the table for the option {name!r} of {entry.id!r}, got "
                f"{text!r:.100}."
            )
    return ",".join(f"{key}={value}" for key, value in table.items())


def _in_words(kinds: Iterable[str], *, typed: bool = False) -> str:
    """What an option takes, for people: of a function's argument, or as it is `typed` on the command line."""
    words = [(_TYPED if typed else _WORDS)[_FUNCTION if kind.startswith(_FUNCTION) else kind] for kind in kinds]
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def _kinds(entry: HasOptions, name: str) -> Sequence[str]:
    """Names of the types that an option takes, as its annotation has them."""
    return _kinds_of(entry.function, name)


@lru_cache(maxsize=1024)
def _kinds_of(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    annotation = inspect.formatannotation(inspect.signature(function, eval_str=True).parameters[name].annotation)
    return tuple(part.strip() for part in annotation.split("|"))


def _pair(text: str) -> tuple[int, int]:
    """Rows and columns, as in `8x4`."""
    rows, columns = text.lower().split("x")
    return int(rows), int(columns)


def _sizes(text: str) -> tuple[int, ...]:
    """One number for each axis, as in `8x4`."""
    return tuple(map(int, text.lower().split("x")))


_PAIR = "tuple[int, int]"
_SIZES = "tuple[int, ...]"
_TENSOR = "torch.Tensor"
_TABLE = "collections.abc.Mapping[str, str]"
_FUNCTION = "collections.abc.Callable"
_WORDS: Mapping[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "True or False",
    "None": "None",
    _PAIR: "two whole numbers such as (8, 4)",
    _SIZES: "whole numbers such as (8, 4)",
    _TENSOR: "a tensor",
    _TABLE: "a table of texts",
    _FUNCTION: "a function",
}
_TYPED: Mapping[str, str] = {
    **_WORDS,
    "bool": "yes or no",
    "None": "none",
    _PAIR: "rows x columns such as 8x4",
    _SIZES: "rows x columns such as 8x4",
}
_YES_NO = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_READERS: Mapping[str, Callable[[str], Any]] = {
    "bool": lambda text: _YES_NO[text.lower()],
    "None": lambda text: {"none": None}[text.lower()],
    "int": int,
    _PAIR: _pair,
    _SIZES: _sizes,
    "float": float,
    "str": str,
}


def parse_option(entry: HasOptions, name: str, text: str) -> Any:
    """An option's value from the command line's text, read as the types that the option takes.

    Raises:
        BadOption: the text is no such value, or there is no such option.
    """
    if name not in entry.options:
        fill_options(entry, {name: text})  # says what there is
    kinds = _kinds(entry, name)
    for kind, read in _READERS.items():
        if kind in kinds:
            try:
                return read(text)
            except (ValueError, KeyError):
                continue
    typed = [kind for kind in kinds if kind in _READERS]
    raise BadOption(f"Expected {_in_words(typed, typed=True)} for --{entry.id}.{name.replace('_', '-')}, got {text!r}.")
