"""What an attribution says of one of several inputs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pellucid.contracts.axes import Axis, AxisName, Map, axes_of


@dataclass(frozen=True, eq=False)
class Share:
    """What part of all evidence an input has: signed and absolute sums of `raw`, as fractions of those of all inputs.

    Attributes:
        signed: `[batch]`, sums to 1 over the inputs; NaN where the sums of all inputs cancel to 0.
        absolute: `[batch]`, 0 to 1, sums to 1 over the inputs; NaN where everything is 0.
    """

    signed: Tensor
    absolute: Tensor


@dataclass(frozen=True, eq=False)
class InputMap:
    """The part of an attribution that lies on one of the explained inputs.

    Attributes:
        name: of the input.
        values: float `[batch, *axes]`, as those of an attribution.
        raw: likewise; of a table `[batch, 1, feature]`.
        share: of all evidence; None for methods whose values share no budget.
        axis_names: what its axes are called, where that is not usual; see `Model.axes`.
    """

    name: str
    values: Map
    raw: Tensor
    share: Share | None = None
    axis_names: tuple[AxisName, ...] = ()

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What lies along the axes of its map."""
        return axes_of(self.values.shape[1:], self.axis_names)
