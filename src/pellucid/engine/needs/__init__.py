"""The reserved names of methods' parameters that passes answer: a record each, found by looking into this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from pellucid.engine.needs.base import Asker, Need, Where

__all__ = ["Asker", "Need", "Where", "needs"]


@cache
def needs() -> Mapping[str, Need]:
    """All of them by name: every `NEEDS` of a file in this folder."""
    files = sorted(info.name for info in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in files]
    return {need.name: need for module in modules for need in getattr(module, "NEEDS", ())}
