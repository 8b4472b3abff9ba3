"""Objectives by the names that they have in expressions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from pellucid.feature_visualisation.objectives.expression import Objective


class Named(Objective):
    """Base of the objectives of the catalogue: dataclasses whose fields are their arguments."""

    name: str = ""

    def __str__(self) -> str:
        given = []
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if value != each.default:
                text = str(value) if isinstance(value, Objective) else repr(value)
                given.append(text if each.default is each.default_factory else f"{each.name}={text}")
        return f"{self.name}({', '.join(given)})"


CATALOGUE: dict[str, type[Named]] = {}
"""Every objective by the name that stands in expressions."""


def entry(name: str) -> Callable[[type[Named]], type[Named]]:
    """Put an objective into the catalogue, under the name that it has in expressions."""

    def add(kind: type[Named]) -> type[Named]:
        kind.name = name
        CATALOGUE[name] = kind
        return kind

    return add


def described() -> dict[str, str]:
    """Name and first line of every objective."""
    return {name: (kind.__doc__ or "").partition("\n")[0] for name, kind in sorted(CATALOGUE.items())}
