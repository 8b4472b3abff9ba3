"""Which pictures, signals, rows of tables, ... a command line names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pellucid.cli.flags import check_sized
from pellucid.cli.results import Ref
from pellucid.contracts import Model
from pellucid.given import kind_of_input, refuse_reading
from pellucid.modalities import PICTURE, parts_of
from pellucid.pictures import find_pictures


def refs(model: Model, sources: Sequence[str], kind: str | None, reading: Mapping[str, Any]) -> Sequence[Ref]:
    """All that is to be explained.

    Args:
        model: that is explained; where names of files do not tell their kind, it does.
        sources: as typed.
        kind: as typed.
        reading: what was said of the files.

    Raises:
        BadOption: nothing tells the kind, or nothing says how pictures reach the model.
        UnknownName: there is no such kind.
    """
    found = kind_of_input(model, sources, kind, reading)
    if found != PICTURE:
        return parts_of(found, sources, reading)
    refuse_reading(reading)
    check_sized(model)
    return find_pictures(sources)
