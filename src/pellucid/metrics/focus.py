"""Focus: whether a map of a mosaic keeps to the squares that show the target's class."""

from __future__ import annotations

from torch import Tensor

from pellucid.contracts import Map, Metric, Reference, Scores
from pellucid.errors import BadOption
from pellucid.metrics._truth import share_inside


def focus(values: Map, mask: Tensor) -> Scores:
    """Which share of the positive evidence lies in a mosaic's squares of the target's class.

    `pellucid.mosaics` lays pictures together, two of a class and two of others, and says which squares are whose.

    Args:
        values: the maps of mosaics `[batch, row, column]`; negative evidence does not count.
        mask: the squares of the target's class, bool `[batch, row, column]`: each quarter is in it or not.

    Returns:
        0 to 1, one half for a map that is the same everywhere; 0 for maps without positive evidence, NaN for masks
        without a square.

    Raises:
        BadOption: a mask that is no choice of quarters.
    """
    if mask.ndim != 3:
        raise BadOption(f"{METRIC.id} is defined for two axes, as it judges maps of mosaics of 2 x 2 pictures.")
    rows, columns = (side // 2 for side in mask.shape[1:])
    quarters = [part for half in mask.tensor_split([rows], 1) for part in half.tensor_split([columns], 2)]
    even = mask.shape[1] % 2 == mask.shape[2] % 2 == 0
    if not even or any(bool((part != part[:, :1, :1]).any()) for part in quarters):
        raise BadOption(
            f"{METRIC.id} judges maps of mosaics of 2 x 2 pictures: give the pictures, targets and masks that "
            "pellucid.mosaics makes. For things of other shapes there is mass-accuracy."
        )
    return share_inside(values, mask)


METRIC = Metric(
    focus,
    id="focus",
    title="Focus",
    reference=Reference("arXiv:2109.15035", "section 3"),
    better="higher",
    caveat="A mosaic is no picture that the network was trained on, and two of its squares may hold what the network "
    "rightly takes for the target's class.",
)
