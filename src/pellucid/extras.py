"""Libraries that come with an extra, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from pellucid.errors import MissingExtra


def library(name: str, purpose: str, extra: str) -> Any:
    """A module of a library that need not be installed.

    Args:
        name: of the module, dotted.
        purpose: sentence without its end, what it is needed for.
        extra: of Pellucid that brings it.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(f"{purpose}: pip install 'pellucid[{extra}]'.") from error
