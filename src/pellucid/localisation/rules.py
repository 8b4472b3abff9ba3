"""How a map becomes a mask: above a threshold, the published one where there is one, or by graph cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.contracts import Method, Reference
from pellucid.errors import BadOption, unknown
from pellucid.localisation.graph_cut import Colours, graph_cut
from pellucid.localisation.segments import above
from pellucid.numerics import Mask

RULES = ("threshold", "graph-cut")


class MaskRule(Protocol):
    """How a map becomes a mask."""

    @property
    def text(self) -> str:
        """For people and for the record."""
        ...

    @property
    def note(self) -> str:
        """What the reader of the result must know, or ""."""
        ...

    @property
    def needs_colours(self) -> bool:
        """Whether it looks at the picture itself."""
        ...

    def mask(self, values: NDArray[np.float64], pixels: NDArray[np.uint8] | None) -> Mask:
        """The mask of a map `[row, column]` with a positive maximum, over `pixels` `[row, column, 3]`."""
        ...


@dataclass(frozen=True)
class Published:
    """A threshold, as a share of the map's maximum, and the paper that has it."""

    threshold: float
    paper: Reference


PUBLISHED = {
    "cam": Published(0.20, Reference("arXiv:1512.04150", "section 3.2")),
    "grad-cam": Published(0.15, Reference("arXiv:1610.02391", "section 4.1")),
}
"""By method. Both papers keep the largest connected part."""

_OTHERWISE = 0.20


@dataclass(frozen=True)
class Threshold:
    """Where a map is above a share of its maximum.

    Attributes:
        share: of the maximum, 0 to 1.
        why: where the number comes from, in words.
        note: what the reader must know about it, or "".
    """

    share: float
    why: str
    note: str = ""
    needs_colours = False

    @property
    def text(self) -> str:
        """For people and for the record."""
        return f"above {self.share:g} of the map's maximum ({self.why})"

    def mask(self, values: NDArray[np.float64], pixels: NDArray[np.uint8] | None = None) -> Mask:  # noqa: ARG002
        """Where a map is above the share of its maximum; the picture does not matter."""
        return above(values, self.share)


@dataclass(frozen=True)
class GraphCut:
    """The pixels whose colours are those of the salient ones; see `graph_cut`.

    Attributes:
        colours: how the colour models are made.
        side: pictures are cut at this size, the longer side in pixels; the mask is then enlarged to the picture's own.
    """

    colours: Colours = field(default_factory=Colours)
    side: int = 224
    note = ""
    needs_colours = True

    @property
    def text(self) -> str:
        """For people and for the record."""
        c = self.colours
        return (
            f"graph cut at {self.side} pixels, colours learned above the {c.foreground:.0%} and below the "
            f"{c.background:.0%} quantile of the map blurred by {c.blur:g} of its side, {c.mixture} Gaussians each, "
            f"gamma {c.gamma:g} (arXiv:1312.6034, section 3.2)"
        )

    def mask(self, values: NDArray[np.float64], pixels: NDArray[np.uint8] | None) -> Mask:
        """The cut at the smaller size, enlarged."""
        if pixels is None:
            raise BadOption("A graph cut learns from the picture's colours. Give pictures, not tensors.")
        rows, columns = values.shape
        shrink = min(1.0, self.side / max(rows, columns))
        size = max(1, round(columns * shrink)), max(1, round(rows * shrink))
        small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
        positive = np.maximum(values, 0).astype(np.float32)
        salient = np.asarray(Image.fromarray(positive).resize(size, Image.Resampling.BOX)).astype(np.float64)
        cut = Image.fromarray(graph_cut(small, salient, self.colours))
        return np.asarray(cut.resize((columns, rows), Image.Resampling.NEAREST))


def rule_for(method: Method, by: str, threshold: float | None, seed: int = 0) -> MaskRule:
    """How the maps of a method become masks.

    Raises:
        UnknownName: there is no such rule.
        BadOption: the threshold is not a share, or does not belong to the rule.
    """
    if by not in RULES:
        raise unknown("rule", by, RULES, f"A map becomes a mask by {' or '.join(RULES)}.")
    if by == "graph-cut":
        if threshold is not None:
            raise BadOption(f"A graph cut has no threshold; got {threshold!r}. Leave it out, or cut by threshold.")
        return GraphCut(Colours(seed=seed))
    return threshold_for(method, threshold)


def threshold_for(method: Method, given: float | None) -> Threshold:
    """The threshold of a method's maps.

    Raises:
        BadOption: the given one is not a share.
    """
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < 1:
            raise BadOption(f"Expected a threshold from 0 to below 1, a share of the map's maximum, got {given!r}.")
        return Threshold(float(given), "chosen by you")
    if method.id in PUBLISHED:
        known = PUBLISHED[method.id]
        return Threshold(known.threshold, f"{known.paper.where}, {known.paper.equation}")
    note = (
        f"No threshold is published for boxes from {method.title}: {_OTHERWISE:g} of the maximum was taken, as for "
        "CAM. Choose one on pictures with known boxes."
    )
    return Threshold(_OTHERWISE, "taken from CAM; none is published", note)
