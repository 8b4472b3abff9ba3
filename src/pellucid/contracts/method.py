"""The records of the registries, and that of an explanation method."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Reference:
    """Where a method is defined: `arXiv:...` or a venue, and the equation or section."""

    where: str
    equation: str = ""

    def __str__(self) -> str:
        return f"{self.where}, {self.equation}" if self.equation else self.where


_FOUND = {
    "activation",
    "assumed",
    "attention_evidence",
    "attention_sensitivity",
    "attentions",
    "collected",
    "curvature",
    "enlarge",
    "gradient",
    "head",
    "image_gradient",
    "relevance",
    "score",
    "uncovered",
}


RESERVED = frozenset({*_FOUND, "image", "probe", "rng"})
"""Names of a method's parameters that the engine fills in; all others are the user's options."""


@dataclass(frozen=True)
class Passes:
    """How many passes over changed pictures a method makes for one map.

    Attributes:
        per: the option whose whole number they are counted by.
        forward, backward: of these passes for each of that number.
        shared: True if they are the same for every target, so that they are made once for all targets of a call.
        more: forward passes beside these.
    """

    per: str
    forward: int = 1
    backward: int = 0
    shared: bool = True
    more: int = 0

    def forward_of(self, options: Mapping[str, Any]) -> int:
        """How many forward passes they are with these options."""
        return int(options[self.per]) * self.forward + self.more


@dataclass(frozen=True)
class DescribedFunction:
    """A function that says of itself what its options are.

    Attributes:
        function: callable whose keyword-only parameters are its options.
    """

    function: Callable[..., Any]

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """Option names with their default values."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


@dataclass(frozen=True)
class RegistryEntry(DescribedFunction):
    """A function of a registry and the facts about it: what methods and metrics share.

    Attributes:
        function: its parameters name what it needs (`reserved`); keyword-only parameters are the user's options.
        id: as on the command line.
        title: for people.
        reference: paper and equation.
        caveat: one sentence on when it misleads.
        kind: what such an entry is called.
        reserved: names of parameters that are filled in; all others are the user's options.
    """

    id: str
    title: str
    reference: Reference
    caveat: str = ""
    kind: ClassVar[str]
    reserved: ClassVar[frozenset[str]]

    @cached_property
    def needs(self) -> frozenset[str]:
        """The names that the function asks for: of all parameters that are no options."""
        parameters = inspect.signature(self.function).parameters.values()
        return frozenset(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)


@dataclass(frozen=True)
class Method(RegistryEntry):
    """One explanation method: its function returns a map, or `Evidence`.

    Attributes:
        rule: backward rule of `image_gradient` and `relevance`: a name in `capture/backward_rules/registry.py`.
        reduce: way `raw` loses its channel axis: `sum` (evidence that adds up) or `max-abs` (sensitivity, Simonyan et
            al.); `of` takes the rule of the method named by the option `of`; "" for maps without channels.
        fuse: rule of `engine/fusion.py` that joins its maps of several layers; "" where it looks at one.
        optimised: True if the map is what an optimisation found, which may have fooled the network: it is judged beside
            the same method's map for another class.
        joint: True if its values of several inputs share a budget, so that it is asked about all of them together;
            False where it looks at one input at a time, in its axes or at layers, while the others are held.
        passes: number of passes over changed pictures, as far as its options say so; None for methods that make none,
            and for those that find out on the way.
    """

    rule: str = "plain"
    reduce: Literal["", "sum", "max-abs", "of"] = ""
    fuse: Literal["", "max", "mean", "product"] = ""
    optimised: bool = False
    joint: bool = False
    passes: Passes | None = None
    kind: ClassVar[str] = "method"
    reserved: ClassVar[frozenset[str]] = RESERVED

    @property
    def at_site(self) -> bool:
        """Whether the method looks at a layer, so that the choice of layer changes its map."""
        return bool({"activation", "curvature", "gradient", "head", "relevance"} & self.needs)

    @property
    def at_attention(self) -> bool:
        """Whether the method reads attention layers, which only transformers have."""
        return bool({"attention_evidence", "attention_sensitivity", "attentions"} & self.needs)

    @property
    def is_gradient(self) -> bool:
        """Whether the raw map is a gradient at the input, under some backward rule, and nothing else."""
        return "image_gradient" in self.needs and self.needs <= {"image_gradient", "uncovered"}
