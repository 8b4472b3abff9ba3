"""Every explanation method, found by looking: a module in `methods/` with a `METHOD` constant is registered."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Protocol

from pellucid.errors import BadOption, unknown
from pellucid.types import Method

DEFAULT_METHODS = ("grad-cam", "guided-backprop", "saliency", "occlusion")
"""What `explain` runs when no method is named: where in a late layer, where in pixels, and what if it were hidden."""


class HasOptions(Protocol):
    """What options belong to: a method, or another record with a function whose keyword-only parameters they are."""

    @property
    def id(self) -> str:
        """As on the command line."""

    @property
    def function(self) -> Callable[..., Any]:
        """Its annotations say which types the options take."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Option names with their default values."""


@cache
def methods() -> Mapping[str, Method]:
    """All methods by id, in alphabetical order."""
    found: dict[str, Method] = {}
    package = importlib.import_module("pellucid.methods")
    for info in pkgutil.iter_modules(package.__path__):
        method = getattr(importlib.import_module(f"pellucid.methods.{info.name}"), "METHOD", None)
        if method is None:
            continue
        if method.id in found:
            raise RuntimeError(f"two methods are called {method.id!r}; the second is in {info.name}.py")
        found[method.id] = method
    return MappingProxyType(dict(sorted(found.items())))


def find_method(name: str) -> Method:
    """The method with this id.

    Raises:
        UnknownName: there is none; the message offers near ids.
    """
    if name not in methods():
        raise unknown("method", name, methods(), "`pellucid methods` lists all.")
    return methods()[name]


def fill_options(method: HasOptions, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a method: the given ones over the defaults, numbers and switches checked by type.

    Raises:
        BadOption: an unknown option, or a value of another type than the default's.
    """
    for name in given:
        if name not in method.options:
            known = ", ".join(method.options) or "none"
            raise BadOption(f"The method {method.id!r} has no option {name!r}. Its options: {known}.")
    return {name: _check(method, name, given.get(name, default)) for name, default in method.options.items()}


def _check(method: HasOptions, name: str, value: Any) -> Any:
    kinds = _kinds(method, name)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadOption(f"Expected a finite number for the option {name!r} of {method.id!r}, got {value}.")
    given = "None" if value is None else type(value).__name__
    if given in kinds:
        return value
    if "float" in kinds and given == "int":
        return float(value)
    raise BadOption(f"Expected {' | '.join(kinds)} for the option {name!r} of {method.id!r}, got {value!r}.")


def _kinds(method: HasOptions, name: str) -> list[str]:
    """Names of the types that an option takes, as its annotation has them."""
    annotation = inspect.formatannotation(inspect.signature(method.function, eval_str=True).parameters[name].annotation)
    return [part.strip() for part in annotation.split("|")]


_YES_NO = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_READERS: Mapping[str, Callable[[str], Any]] = {
    "bool": lambda text: _YES_NO[text.lower()],
    "None": lambda text: {"none": None}[text.lower()],
    "int": int,
    "float": float,
    "str": str,
}


def parse_option(method: HasOptions, name: str, text: str) -> Any:
    """An option's value from the command line's text, read as the types that the option takes.

    Raises:
        BadOption: the text is no such value, or there is no such option.
    """
    if name not in method.options:
        fill_options(method, {name: text})  # says what there is
    kinds = _kinds(method, name)
    for kind, read in _READERS.items():
        if kind in kinds:
            try:
                return read(text)
            except (ValueError, KeyError):
                continue
    raise BadOption(f"Expected {' | '.join(kinds)} for --{method.id}.{name.replace('_', '-')}, got {text!r}.")
