"""All kinds of input but pictures, found by looking: a package in `modalities/` with a `MODALITY`, and entry points."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from pellucid.errors import unknown
from pellucid.modalities.modality import Modality
from pellucid.plugins import Unusable, records_of

PICTURE = "picture"
"""The kind that needs no record: it has its own way, `pictures/`."""

_ID = re.compile(r"[a-z][a-z0-9-]*")


@cache
def modalities() -> Mapping[str, Modality]:
    """Kinds of input by id, in alphabetical order.

    Warns:
        UserWarning: one of another package cannot be used; a line for each.
    """
    package = importlib.import_module("pellucid.modalities")
    rooms = [info.name for info in pkgutil.iter_modules(package.__path__) if info.ispkg]
    own = [importlib.import_module(f"pellucid.modalities.{room}").MODALITY for room in rooms]
    found = {modality.id: modality for modality in own}

    def accept(record: Any) -> Modality:
        if not isinstance(record, Modality):
            raise Unusable(f"expected a pellucid.modalities.Modality, got {type(record).__name__}.")
        if not isinstance(record.id, str) or not _ID.fullmatch(record.id):
            raise Unusable(f"expected an id of small letters, digits and -, got {record.id!r:.80}.")
        if record.id in found or record.id == PICTURE:
            raise Unusable(f"the id {record.id!r} is taken by Pellucid itself.")
        if strange := [name for name in ("read", "draw", "view") if not callable(getattr(record, name))]:
            raise Unusable(f"expected a function as {strange[0]}.")
        return record

    return MappingProxyType(dict(sorted({**found, **records_of("modalities", accept)}.items())))


def find_modality(name: str) -> Modality:
    """The kind with this id.

    Raises:
        UnknownName: there is none; the message offers near ids.
    """
    if name not in modalities():
        raise unknown("kind of input", name, (PICTURE, *modalities()), f"Kinds: {', '.join((PICTURE, *modalities()))}.")
    return modalities()[name]
