"""What a module's own `config` says of its output, as Hugging Face writes it; no package is imported for that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from pellucid.contracts import Classes

_KINDS = {
    "single_label_classification": "classes",
    "multi_label_classification": "multi-label",
    "regression": "regression",
}
_NAMELESS = re.compile(r"LABEL_\d+")
"""What stands for a name where nobody has given one."""


def told_by_config(module: nn.Module) -> dict[str, Any]:
    """Fields of a `Model` that the module's config decides, `by_config` among them; none where it says nothing."""
    config = getattr(module, "config", None)
    problem, names = _entry(config, "problem_type"), _names(_entry(config, "id2label"))
    found: dict[str, Any] = {}
    words: dict[str, str] = {}
    if isinstance(problem, str) and problem in _KINDS:
        found["answers"] = _KINDS[problem]
        words["answers"] = f"{_KINDS[problem]}, as the module's config says (problem_type {problem})"
    if names:
        found["classes"] = Classes(names)
        words["classes"] = "named by the module's config (id2label)"
    return {**found, "by_config": words} if found else {}


def _entry(config: Any, name: str) -> Any:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)


def _names(labels: Any) -> tuple[str, ...]:
    """Names in the order of the output; none where some are missing or nobody has given any."""
    if not isinstance(labels, Mapping):
        return ()
    numbered = {str(key): str(name) for key, name in labels.items()}
    names = [numbered.get(str(k)) for k in range(len(numbered))]
    if None in names or all(_NAMELESS.fullmatch(str(name)) for name in names):
        return ()
    return tuple(str(name) for name in names)
