"""A method that is about to be run: its record, all its options filled in, and what it wants of the shared passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from pellucid.capture.attention import summaries
from pellucid.capture.backward_rules import BackwardRule, rule_of
from pellucid.capture.passes import PassRequest, PassResult
from pellucid.contracts import Method, Site
from pellucid.engine.needs import Where, needs
from pellucid.errors import BadOption
from pellucid.held import of_pictures
from pellucid.plugins import identity_of
from pellucid.registry import fill_options, find_method


@dataclass(frozen=True)
class PlannedMethod:
    """A method with all its options filled in; `base` is the method that it runs on changed pictures, if any."""

    method: Method
    options: Mapping[str, Any]
    base: PlannedMethod | None = None

    @property
    def at_site(self) -> bool:
        """Whether the choice of layer changes the map."""
        return self.method.at_site or (self.base is not None and self.base.at_site)

    @property
    def asks(self) -> bool:
        """Whether it asks the model further questions, or draws numbers, so that one pass does not give its map."""
        return bool({"probe", "rng"} & self.method.needs)

    @property
    def joint(self) -> bool:
        """Whether several inputs share a budget, see `Method.joint`; means of another method's maps do as these do."""
        return self.method.joint or (self.method.reduce == "of" and self.base is not None and self.base.joint)

    @property
    def reduce(self) -> str:
        """How the raw map loses its channels."""
        return self.base.reduce if self.method.reduce == "of" and self.base else self.method.reduce

    @cached_property
    def rule(self) -> BackwardRule:
        """The backward rule, with the options that it takes."""
        return rule_of(self.method.rule, self.options)

    def wish(self, site: Site | None) -> PassRequest:
        """What the method wants of the shared passes."""
        if site not in self._wishes:
            self._wishes[site] = self._new_wish(site)
        return self._wishes[site]

    @cached_property
    def _wishes(self) -> dict[Site | None, PassRequest]:
        return {}

    def _new_wish(self, site: Site | None) -> PassRequest:
        known = needs()
        asked = [known[name].ask(self, site) for name in self._asked if name in known]
        return PassRequest.together(asked)

    def read(self, chunks: Sequence[PassResult], k: int, site: Site | None) -> dict[str, Any]:
        """Its parameters that the passes over consecutive chunks of pictures brought back, for target number `k`."""
        where, known = Where(k, site, "relevance" in self.method.needs), needs()
        return {name: known[name].value(chunks, self, where) for name in self._asked if name in known}

    @property
    def _asked(self) -> list[str]:
        """Its needs in one order."""
        return sorted(self.method.needs)

    @cached_property
    def summaries(self) -> Mapping[str, str]:
        """How the attention layers are summed up for each of the method's parameters that asks for them."""
        return summaries(self.method.needs, self.options)

    @property
    def written(self) -> tuple[Any, ...]:
        """Id and options, and those of the method that it builds on: equal for equal work."""
        base = self.base.written if self.base else None
        return self.method.id, dict(self.options), base, *identity_of(self.method)

    def for_pictures(self, pictures: Tensor, axes: int) -> PlannedMethod:
        """For a batch of which row i is picture `pictures[i]`: options that are tensors of one row each go along.

        Args:
            pictures: numbers of pictures, `[row]`.
            axes: how many they have behind the channels.
        """
        base = self.base and self.base.for_pictures(pictures, axes)
        return replace(self, options=of_pictures(self.options, pictures, axes), base=base)

    def check(self) -> PlannedMethod:
        """Refuse options that the backward rule or the summary of attention cannot use, before any pass is run."""
        try:
            self.rule.make()
            self.summaries  # noqa: B018 - computed to be checked
        except BadOption as error:
            raise BadOption(f"{self.method.id}: {error}") from None
        return self


def planned_methods(names: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> tuple[PlannedMethod, ...]:
    """Look the methods up and fill their options in.

    Raises:
        UnknownName: a method that does not exist.
        BadOption: an option that does not fit, or a method built on itself.
    """
    for name in options:
        find_method(name)
    return tuple(_planned(name, options) for name in dict.fromkeys(names))


def _planned(name: str, options: Mapping[str, Mapping[str, Any]], around: tuple[str, ...] = ()) -> PlannedMethod:
    """A method that stands inside of others, `around` it."""
    method = find_method(name)
    filled = fill_options(method, options.get(name, {}))
    if "of" not in method.options:
        return PlannedMethod(method, filled).check()
    base = find_method(filled["of"])
    if base.id in (*around, name):
        raise BadOption(f"{name} cannot be built on {base.id}, which is built on it. Name another method as its `of`.")
    return PlannedMethod(method, filled, _planned(base.id, options, (*around, name))).check()
