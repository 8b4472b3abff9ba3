"""One file per metric; called, the package gives the registry: `pellucid.metrics()["deletion"]`.

See docs/adding-a-metric.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pellucid.contracts import Metric


class _Registry(ModuleType):
    """Makes the package itself callable, since folder and public function share the one good name."""

    def __call__(self) -> Mapping[str, Metric]:
        """All metrics by id."""
        from pellucid.registry import metrics

        return metrics()


sys.modules[__name__].__class__ = _Registry
