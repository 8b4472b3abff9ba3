"""A plan: everything that is decided before the first map is made, as a value that can be printed and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pellucid.contracts import Choice, Site
from pellucid.engine.cost import PlannedCost, cost_of
from pellucid.engine.layers import ChosenLayers
from pellucid.engine.planned import PlannedMethod
from pellucid.held import Held
from pellucid.targets import Target


@dataclass(frozen=True, eq=False)
class Job:
    """One map to come for each target: a method, where it looks, and how its maps at several places are fused."""

    step: PlannedMethod
    sites: tuple[Site | None, ...]
    fuse: str | None

    def __str__(self) -> str:
        where = (" at " + " + ".join(map(str, self.places))) if self.places else ""
        return f"{self.step.method.id}{where}{f' ({self.fuse})' if self.fuse and self.places else ''}"

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

    @property
    def cost(self) -> PlannedCost:
        """Passes for each picture, those in which layers were tried among them."""
        return cost_of(((job.step, len(job.sites)) for job in self.jobs), len(self.targets)) + self.layers.cost

    @property
    def known(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "targets": len(self.targets),
            "choices": {name: choice.known for name, choice in self.chosen.items()},
            "maps": [_known(job, len(self.targets)) for job in self.jobs],
            "refused": dict(self.refused),
            "cost": self.cost.known,
        }

    def __str__(self) -> str:
        return "\n".join(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """For people: what was chosen and why, every map to come, and what all of them cost."""
        cost, targets = self.cost, len(self.targets)
        each = "" if targets == 1 else f" for each of {targets} targets"
        least = "at least " if cost.open else ""
        found_out = f"; not counted: what {', '.join(cost.open)} finds out on the way" if cost.open else ""
        return (
            *(f"{name.capitalize()}: {_said(choice)}" for name, choice in self.chosen.items()),
            *(f"Left out: {method}. {why}" for method, why in self.refused.items()),
            *(f"Map of {job}{each}: {_passes(job, targets)}" for job in self.jobs),
            *([f"Trial of layers: {_counted(self.layers.cost.passes)}"] if self.layers.cost.passes else []),
            f"Cost: {least}{_counted(cost.passes)} for each picture, a backward one counted twice{found_out}",
        )

    def sites_of(self, step: PlannedMethod) -> tuple[Site | None, ...]:
        """Where a method looks; None is the input."""
        if not step.at_site:
            return (None,)
        return self.layers.joined if step.method.fuse else self.layers.layers


def _said(choice: Choice) -> str:
    """The value and the reason."""
    values = choice.value if isinstance(choice.value, tuple | list) else [choice.value]
    what = ", ".join(str(value) for value in values if value is not None)
    return f"{what} ({choice.why})" if what and choice.why else what or choice.why


def _known(job: Job, targets: int) -> dict[str, Any]:
    return {
        "method": job.step.method.id,
        "options": {
            name: repr(value) if isinstance(value, Held) else value for name, value in job.step.options.items()
        },
        "layers": [str(site) for site in job.places],
        "fuse": job.fuse if job.places else None,
        "cost": cost_of([(job.step, len(job.sites))], targets).known,
    }


def _passes(job: Job, targets: int) -> str:
    cost = cost_of([(job.step, len(job.sites))], targets)
    return "as many passes as it finds to need" if cost.open else _counted(cost.passes)


def _counted(passes: int) -> str:
    return f"{passes:,} pass{'' if passes == 1 else 'es'}"
