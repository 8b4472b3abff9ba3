"""Models that other packages know how to load or how to read, found by entry points in `pellucid.models`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import nn

from pellucid.contracts import Model
from pellucid.plugins import Unusable, leave_out, origin_of, records_of

OWN = frozenset({"embedded", "efficientnet-lite0", "python", "timm", "torchvision", "zoo"})
"""What Pellucid itself reads before the colon of a model's name."""

_ID = re.compile(r"[a-z][a-z0-9_-]+")


@dataclass(frozen=True)
class ModelRecogniser:
    """What a package knows of models: how its names are loaded, how its modules are fed and read, or both.

    Attributes:
        id: what stands before the colon in `id:NAME`.
        title: what such a model is, for people.
        load: a function of what stands behind the colon that returns an `nn.Module` or a `Model`; weights that the user
            gives as a file are put into it afterwards. None: no model is loaded by this name.
        recognise: a function of a module that returns what `pellucid.wrap` must be told of it, as arguments by name
            (`{"size": 224, "output": "logits"}`), or None for modules that are not its own. What the caller says comes
            first.
    """

    id: str
    title: str
    load: Callable[[str], nn.Module | Model] | None = None
    recognise: Callable[[nn.Module], Mapping[str, Any] | None] | None = None


def family(name: str) -> ModelRecogniser | None:
    """Who loads `name:...`; looks for packages only where the name could be one of theirs."""
    return recognisers().get(name) if name not in OWN and _ID.fullmatch(name) else None


@cache
def recognisers() -> Mapping[str, ModelRecogniser]:
    """Those of installed packages, by id.

    Warns:
        UserWarning: one cannot be used; a line for each.
    """
    return records_of("models", _accepted)


def _accepted(record: Any) -> ModelRecogniser:
    if not isinstance(record, ModelRecogniser):
        raise Unusable(f"expected a pellucid.models.ModelRecogniser, got {type(record).__name__}.")
    if not isinstance(record.id, str) or not _ID.fullmatch(record.id):
        raise Unusable(f"expected an id of two or more small letters, digits, _ and -, got {record.id!r:.80}.")
    if record.id in OWN:
        raise Unusable(f"the id {record.id!r} is taken by Pellucid itself.")
    if not isinstance(record.title, str) or not record.title:
        raise Unusable(f"expected a text as title, got {record.title!r:.80}.")
    functions = [each for each in (record.load, record.recognise) if each is not None]
    if not functions or not all(map(callable, functions)):
        raise Unusable("expected a function as load, as recognise, or both.")
    return record


def recognised(module: nn.Module, told: Callable[[Mapping[str, Any]], Model]) -> Model | None:
    """The model that a package knows a module to be; None if none of them knows it.

    Args:
        module: as the user gave it.
        told: makes a model of arguments of `pellucid.wrap`.

    Warns:
        UserWarning: a recogniser fails, or says what cannot be; its answer is taken for no.
    """
    for recogniser in recognisers().values():
        try:
            said_of_it = recogniser.recognise(module) if recogniser.recognise else None
            if said_of_it is not None:
                return told(said_of_it)
        except Exception as error:  # noqa: BLE001 - one package must not spoil the models of all others
            if origin := origin_of(recogniser):
                leave_out(origin, f"What {recogniser.id!r} says of {type(module).__name__}", error)
    return None
