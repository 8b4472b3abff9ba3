"""What a plan costs: passes through the network, as far as the methods' records and options say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pellucid.contracts import Site
from pellucid.engine.planned import PlannedMethod

_SOMEWHERE = Site("")
"""Stands for the layer that a method looks at: which one it is does not change the number of passes."""


@dataclass(frozen=True)
class PlannedCost:
    """Passes for each picture. Those shared by several methods are counted in full for each, as in `Cost`.

    Attributes:
        forward, backward: how many.
        open: ids of methods that find out on the way how many they make; of theirs only one is counted.
    """

    forward: int = 0
    backward: int = 0
    open: tuple[str, ...] = ()

    @property
    def passes(self) -> int:
        """All of them, one backward as two forward."""
        return self.forward + 2 * self.backward

    @property
    def known(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"passes": self.passes, "forward": self.forward, "backward": self.backward, "open": list(self.open)}

    def __add__(self, other: PlannedCost) -> PlannedCost:
        both = tuple(dict.fromkeys((*self.open, *other.open)))
        return PlannedCost(self.forward + other.forward, self.backward + other.backward, both)

    def __mul__(self, times: int) -> PlannedCost:
        return PlannedCost(times * self.forward, times * self.backward, self.open)


def cost_of(steps: Iterable[tuple[PlannedMethod, int]], targets: int) -> PlannedCost:
    """The cost of methods, each with the number of layers that it looks at, for so many targets."""
    return sum((_at_one_layer(step, targets) * layers for step, layers in steps), PlannedCost())


def _at_one_layer(step: PlannedMethod, targets: int) -> PlannedCost:
    passes = step.method.passes
    if "probe" not in step.method.needs:
        return PlannedCost(1, targets * step.wish(_SOMEWHERE).backward)
    if passes is None:
        return PlannedCost(1, 0, (step.method.id,))
    count = int(step.options[passes.per])
    if step.base is not None and step.base.asks:  # it runs in full on each changed picture
        return _at_one_layer(step.base, 1) * (count * targets)
    times = 1 if passes.shared else targets
    return PlannedCost(times * passes.forward_of(step.options), times * count * passes.backward)
