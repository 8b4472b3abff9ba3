"""A plan: everything that is decided before the first map is made, as a value that can be printed and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pellucid.contracts import Choice, Site
from pellucid.engine.layers import ChosenLayers
from pellucid.engine.planned import PlannedMethod
from pellucid.targets import Target


@dataclass(frozen=True, eq=False)
class Job:
    """One map to come for each target: a method, where it looks, and how its maps at several places are fused."""

    step: PlannedMethod
    sites: tuple[Site | None, ...]
    fuse: str | None

    @property
    def places(self) -> tuple[Site, ...]:
        """Where it looks; none for methods that look at the input only."""
        return tuple(site for site in self.sites if site) if self.step.at_site else ()


@dataclass(frozen=True, eq=False)
class Plan:
    """What is done with a batch of pictures.

    Attributes:
        methods: in the order in which they were asked for.
        targets: what is explained, fit to the pictures; each gives one set of maps.
        layers: where layer methods look.
        fuse: how the maps of several layers become one, `max`, `mean` or `product`; None keeps them apart.
        seed: of all random draws.
        strict: whether a method that refuses ends the work; otherwise it is left out, with the reason.
        picked: what else was chosen, by whom and why, by name (`methods`, `class`).
    """

    methods: tuple[PlannedMethod, ...]
    targets: tuple[Target, ...]
    layers: ChosenLayers = field(default=ChosenLayers())
    fuse: str | None = None
    seed: int = 0
    strict: bool = True
    picked: Mapping[str, Choice] = field(default_factory=dict)

    @property
    def refused(self) -> Mapping[str, str]:
        """Methods that were asked for and will not run, with the reason."""
        return self.layers.refused

    @property
    def chosen(self) -> Mapping[str, Choice]:
        """Every choice by name: `class`, `methods`, `fuse` where there is one, `layer`."""
        fuse = {"fuse": Choice(self.fuse, "user")} if self.fuse else {}
        return {**self.picked, **fuse, "layer": self.layers.choice}

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The maps of each target in order: all methods at the first layer, then those that look at the next."""
        rounds: list[list[Job]] = [[] for _ in self.layers.layers or (None,)]
        for step in self.methods:
            if step.method.id in self.refused:
                continue
            fuse, sites = step.method.fuse or self.fuse, self.sites_of(step)
            if fuse:
                rounds[0].append(Job(step, sites, fuse))
            else:
                for number, site in enumerate(sites):
                    rounds[number].append(Job(step, (site,), None))
        return tuple(job for jobs in rounds for job in jobs)

    def sites_of(self, step: PlannedMethod) -> tuple[Site | None, ...]:
        """Where a method looks; None is the input."""
        if not step.at_site:
            return (None,)
        return self.layers.joined if step.method.fuse else self.layers.layers
