"""Which drawing belongs to which axes."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.contracts import Axis
from pellucid.errors import Refused
from pellucid.figures import bars, lines, planes, slices
from pellucid.figures.kinds import Kind


def kind_of(axes: Sequence[Axis]) -> Kind:
    """The drawing for maps along these axes.

    Raises:
        Refused: there is none.
    """
    names = tuple(axis.name for axis in axes)
    if names == ("feature",):
        return bars.KIND
    found = {1: lines.KIND, 2: planes.KIND, 3: slices.KIND}.get(len(names))
    if found is None:
        raise Refused(
            f"There is no figure of maps along {', '.join(map(str, axes))}. Take their numbers: "
            "explanation[method].values."
        )
    return found
