"""The method that was found best for a model, remembered for `--method auto`.

A file per model, named by its weights, preprocessing and reading (`Model.computation`), in the user's data folder, or
in the one that the environment variable `PELLUCID_DATA` names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pellucid.contracts import Model
from pellucid.errors import UnknownName

AUTO = "auto"
VARIABLE = "PELLUCID_DATA"


@dataclass(frozen=True)
class BestMethod:
    """What is remembered.

    Attributes:
        method: id of the method.
        options: its options, as they were given when it was found best.
        why: in a sentence.
        pictures: how many it was judged on.
        created: when, in ISO 8601, UTC.
    """

    method: str
    options: Mapping[str, Any]
    why: str
    pictures: int
    created: str


def choice_of(model: Model) -> BestMethod:
    """What is remembered for a model.

    Raises:
        UnknownName: nothing; the message says how to change that.
    """
    try:
        record = json.loads(file_of(model).read_text("utf-8"))
        found = BestMethod(**{name: record[name] for name in BestMethod.__dataclass_fields__})
        if not (isinstance(found.method, str) and isinstance(found.options, dict) and isinstance(found.why, str)):
            raise TypeError("it was not written by `pellucid compare`")
        return found
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnknownName(
            f"No method has been found best for {model.name} with these weights and this preprocessing yet: `pellucid "
            "compare PICTURES --best`, with the same --model and flags, finds one and remembers it."
        ) from error


def file_of(model: Model) -> Path:
    """Where the choice for a model is kept."""
    return data_folder() / "choices" / f"{model.computation}.json"


def data_folder() -> Path:
    """What Pellucid remembers for this user lies here."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    from platformdirs import user_data_path

    return user_data_path("pellucid", appauthor=False)


def as_record(choice: BestMethod) -> dict[str, Any]:
    """Plain values for the file."""
    return asdict(choice)
