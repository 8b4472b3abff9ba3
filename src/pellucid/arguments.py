"""What a caller passes to the public functions, checked: a wrong type is answered in one sentence, not from within."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from pellucid.contracts import Method, Site
from pellucid.errors import BadOption


def method_names(given: Any) -> list[str]:
    """Ids of methods, from one or several; none at all asks for predictions alone."""
    names = _list(given, str, "an id of a method such as 'grad-cam', or a list of ids, as methods")
    for name in names:
        if not isinstance(name, str):
            hint = f" Give its id, {name.id!r}." if isinstance(name, Method) else ""
            raise BadOption(f"Expected ids of methods such as 'grad-cam', got {name!r} among them.{hint}")
    return names


def metric_names(given: Any) -> list[str]:
    """Ids of metrics, from one or several."""
    names = _list(given, str, "an id of a metric such as 'deletion', or a list of ids, as metrics")
    if not names or not all(isinstance(name, str) for name in names):
        raise BadOption(f"Expected ids of metrics such as 'deletion', got {names!r}.")
    return names


def method_options(given: Any) -> Mapping[str, Mapping[str, Any]]:
    """Options by method and name."""
    form = "options={'occlusion': {'window': 32}}"
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise BadOption(f"Expected options by method, as in {form}, got {given!r}.")
    for name, options in given.items():
        if not isinstance(name, str) or not isinstance(options, Mapping):
            raise BadOption(f"Expected options by method, as in {form}, got {name!r}: {options!r}.")
    return given


def sites(given: Any) -> list[Site]:
    """Layers, from one or several, as text or `Site`."""
    places = [] if given is None else _list(given, str | Site, "a layer's path such as 'layer4', or a list, as layer")
    for place in places:
        if not isinstance(place, str | Site):
            hint = " Give the path under which the model knows it." if isinstance(place, nn.Module) else ""
            raise BadOption(f"Expected a layer's path such as 'layer4', got {_short(place)}.{hint}")
    return [Site.parse(place) for place in places]


def is_auto(given: Any) -> bool:
    """Whether the layer shall be found by trying; a module of that name is written `auto@output`.

    Raises:
        BadOption: `auto` among other layers.
    """
    named = [given] if isinstance(given, str) else given if isinstance(given, list | tuple) else []
    if "auto" not in named:
        return False
    if len(named) > 1:
        raise BadOption(f"'auto' stands for one layer that is yet to be found, so it stands alone; got {named!r}.")
    return True


def whole_number(given: Any, name: str, what: str, least: int | None = None) -> int:
    """An integer of any kind, but no truth value."""
    try:
        number = operator.index(given)
    except TypeError:
        number = None
    if number is None or isinstance(given, bool) or (least is not None and number < least):
        raise BadOption(f"Expected {what} as {name}, got {given!r}.")
    return number


def function(given: Any, name: str) -> None:
    """A function, or none."""
    if given is not None and not callable(given):
        raise BadOption(f"Expected a function as {name}, got {given!r}.")


def _list(given: Any, single: Any, expected: str) -> list[Any]:
    if isinstance(given, single):
        return [given]
    if not isinstance(given, Iterable) or isinstance(given, Mapping | bytes | nn.Module):
        raise BadOption(f"Expected {expected}; got {_short(given)}.")
    return list(given)


def _short(value: Any) -> str:
    return f"a module, {type(value).__name__}" if isinstance(value, nn.Module) else repr(value)
