"""Pellucid: see through neural networks.

Names are loaded when first used, so that `import pellucid` itself costs next to nothing and the command line can
prepare the process before torch is imported. Which names there are, and where, stands in `__init__.pyi` alone: type
checkers read it as it is, and here it is read as a table.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from pellucid.moved import install

install()

_STUB = Path(__file__).with_suffix(".pyi").read_text("utf-8")
_HOME: dict[str, str] = {
    name: home for home, name in re.findall(r"^from (\S+) import \S+ as (\S+)$", _STUB, re.MULTILINE)
}
"""Public name: the module that has it."""

_MODULES = ("arithmetic", "methods", "metrics")
"""Modules that are public as such; the last two are callable: `pellucid.methods()` is the registry."""

__all__ = sorted(_HOME.keys() - {"__version__"})  # noqa: PLE0605 - it is a list of names, read off the stub


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"pellucid.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'pellucid' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
