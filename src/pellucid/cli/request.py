"""What is asked of `explain`: the work that is done with each picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from pellucid.choices import AUTO, choice_of
from pellucid.contracts import Model, Picture, Sample, Site
from pellucid.engine.planned import PlannedMethod, planned_methods
from pellucid.errors import BadOption
from pellucid.jobs import question
from pellucid.modalities import SampleRef, read_part
from pellucid.models.preprocessing import preprocessing_of
from pellucid.named_inputs import first_argument
from pellucid.pictures import PictureRef, prepare
from pellucid.plugins import identity_of
from pellucid.registry import DEFAULT_METHODS, default_methods, find_method
from pellucid.targets import asks_for_all, parse_targets


@dataclass(frozen=True)
class Work:
    """What is to be done with each picture."""

    model: Model
    methods: Sequence[str] | None
    target: str | None
    layers: Sequence[str]
    options: Mapping[str, Mapping[str, Any]]
    seed: int
    chunk: int | None
    fuse: str | None
    trust: Literal["brief", "full"] | None
    out: Path
    command: str
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    explained: Sequence[str] = ()

    @property
    def device(self) -> str:
        """Where the model runs."""
        return str(self.model.device)

    @property
    def question(self) -> str:
        """A digest of all that decides what becomes of a picture."""
        choice = choice_of(self.model) if self.methods == [AUTO] else None
        chosen = choice and (choice.method, choice.options, *identity_of(find_method(choice.method)))
        names = self.methods or default_methods(self.model)
        return question(
            "explain", self.model, methods=[step.written for step in chosen_methods(names, self.options)],
            named=self.methods is not None, choice=chosen, options=self.options,
            target=self.target, layers=list(self.layers), seed=self.seed, fuse=self.fuse, trust=self.trust,
            **({"inputs": dict(self.inputs), "explained": list(self.explained)} if self.inputs else {}),
        )  # fmt: skip

    def read(self, found: PictureRef | SampleRef) -> Picture | Sample:
        """What was asked for, as the model sees it.

        Raises:
            BadSample: it cannot be read.
        """
        if isinstance(found, SampleRef):
            return read_part(found)
        return prepare(found.source, preprocessing_of(self.model), found.name)

    def asked(self, picture: Picture | Sample) -> Any:
        """What is explained: a picture, or with what goes along with it by the names of the network's arguments."""
        return {first_argument(self.model, self.inputs): picture, **self.inputs} if self.inputs else picture

    def check(self) -> None:
        """Find misuse before any picture is read.

        Raises:
            UnknownName, BadOption: a target or layer that cannot be.
        """
        if self.explained and not self.inputs:
            raise BadOption("--explain names one of several inputs, and there is one: add --input NAME=VALUE.")
        if self.inputs and self.trust and len(self.explained) != 1:
            raise BadOption("--trust judges the maps of one input: name it with --explain, or leave --trust out.")
        if not asks_for_all(self.target, self.model):
            parse_targets(self.target, self.model)
        if self.methods == [AUTO]:
            chosen_methods([choice_of(self.model).method], self.options)
        for layer in self.layers:
            Site.parse(layer)


def chosen_methods(names: Sequence[str] | None, options: Mapping[str, Mapping[str, Any]]) -> tuple[PlannedMethod, ...]:
    """The methods that will run.

    Raises:
        UnknownName: a method that does not exist.
        BadOption: an option's value does not fit, or it belongs to a method that is not run.
    """
    if names == [AUTO]:  # known when the model is
        return ()
    steps = planned_methods(names or DEFAULT_METHODS, options)
    run = {step.method.id for step in steps} | {step.base.method.id for step in steps if step.base}
    for method, given in options.items():
        if method not in run:
            raise BadOption(
                f"--{method}.{next(iter(given)).replace('_', '-')} was given, but {method} is not among the methods "
                f"({', '.join(step.method.id for step in steps)}). Add --method {method}."
            )
    return steps
