"""What recipes there are, and how one is followed."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, ClassVar

from pellucid.contracts import DescribedFunction, Reference
from pellucid.errors import BadOption, unknown
from pellucid.feature_visualisation.recipe import RECIPES, Recipe
from pellucid.feature_visualisation.renderer import Renderer
from pellucid.feature_visualisation.visualisation import Visualisation

_WISHES = {
    "layer": "a layer",
    "layers": "one or more layers",
    "units": "units of the layer",
    "picture": "a picture to start from",
}
_CHOICES = frozenset(each.name for each in fields(Recipe))


@dataclass(frozen=True)
class CompositeRecipe(DescribedFunction):
    """A recipe and the facts about it.

    Attributes:
        function: draws; its parameters are its wishes, keyword-only ones its options.
        title: for people.
        reference: where it comes from.
        caveat: one sentence on when the pictures mislead.
    """

    function: Callable[..., Visualisation]
    title: str
    reference: Reference
    caveat: str
    kind: ClassVar[str] = "recipe"

    @property
    def id(self) -> str:
        """As on the command line."""
        return self.function.__name__.replace("_", "-")

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """What it looks at: some of `layer`, `layers`, `units`, `picture`."""
        return tuple(name for name in inspect.signature(self.function).parameters if name in _WISHES)

    @cached_property
    def optional(self) -> frozenset[str]:
        """Wishes that need not be met."""
        parameters = inspect.signature(self.function).parameters
        return frozenset(name for name in self.needs if parameters[name].default is not inspect.Parameter.empty)


@cache
def recipes() -> Mapping[str, CompositeRecipe]:
    """All composed recipes by id, in alphabetical order."""
    package = importlib.import_module("pellucid.feature_visualisation.recipes")
    modules = (importlib.import_module(f"{package.__name__}.{i.name}") for i in pkgutil.iter_modules(package.__path__))
    found = [module.RECIPE for module in modules if hasattr(module, "RECIPE")]
    return MappingProxyType({each.id: each for each in sorted(found, key=lambda each: each.id)})


def find_composite(name: str) -> CompositeRecipe:
    """The composed recipe of this name.

    Raises:
        UnknownName: there is none; the message offers near names.
    """
    if name not in recipes():
        known = [*RECIPES, *recipes()]
        raise unknown("recipe", name, known, f"Recipes: {', '.join(known)}.")
    return recipes()[name]


def run_composite(name: str, draw: Renderer, picture: Any, given: Mapping[str, Any]) -> Visualisation:
    """Follow a composed recipe.

    Args:
        name: of the recipe.
        draw: what the caller has settled.
        picture: to start from, or None.
        given: what it wishes for, its options, and fields of `Recipe`.

    Raises:
        UnknownName: no such recipe.
        BadOption: a wish is not met, or something was given that the recipe has no use for.
    """
    recipe = find_composite(name)
    rest = {key: value for key, value in {**given, "picture": picture}.items() if value is not None}
    if "layers" in recipe.needs and "layer" in rest:
        rest["layers"] = rest.pop("layer")
    wishes = {key: _wish(key, rest.pop(key)) for key in recipe.needs if key in rest}
    missing = [_WISHES[key] for key in recipe.needs if key not in wishes and key not in recipe.optional]
    if missing:
        raise BadOption(f"The recipe {name!r} needs {' and '.join(missing)}.")
    options = {key: rest.pop(key) for key in recipe.options if key in rest}
    changes = {key: rest.pop(key) for key in _CHOICES if key in rest}
    if rest:
        known = ", ".join((*recipe.needs, *recipe.options))
        raise BadOption(f"The recipe {name!r} has no use for {', '.join(rest)}. It takes {known}.")
    made = recipe.function(replace(draw, changes=changes), **wishes, **options)
    return replace(made, made_by=name, options={**recipe.options, **options})


def _wish(key: str, value: Any) -> Any:
    """A wish in the form that recipes expect: one layer as text, several and units as tuples."""
    if key not in ("layer", "layers", "units"):
        return value
    many = tuple(value) if isinstance(value, tuple | list | range) else (value,)
    if key == "layer" and len(many) > 1:
        raise BadOption(f"Expected one layer, got {', '.join(map(str, many))}.")
    return {"layer": many[0], "layers": tuple(dict.fromkeys(many)), "units": many}[key]
