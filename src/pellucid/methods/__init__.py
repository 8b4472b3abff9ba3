"""One file per explanation method; called, the package gives the registry: `pellucid.methods()["grad-cam"]`.

See docs/adding-a-method.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pellucid.contracts import Method


class _Registry(ModuleType):
    """Makes the package itself callable, since folder and public function share the one good name."""

    def __call__(self) -> Mapping[str, Method]:
        """All methods by id."""
        from pellucid.registry import methods

        return methods()


sys.modules[__name__].__class__ = _Registry
