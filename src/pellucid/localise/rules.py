"""How a map becomes a mask: the published thresholds, and what is taken where none is published."""

from __future__ import annotations

from dataclasses import dataclass

from pellucid.errors import BadOption
from pellucid.types import Method, Paper


@dataclass(frozen=True)
class Published:
    """A threshold, as a share of the map's maximum, and the paper that has it."""

    threshold: float
    paper: Paper


PUBLISHED = {
    "cam": Published(0.20, Paper("arXiv:1512.04150", "section 3.2")),
    "grad-cam": Published(0.15, Paper("arXiv:1610.02391", "section 4.1")),
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

    @property
    def text(self) -> str:
        """For people and for the record."""
        return f"above {self.share:g} of the map's maximum ({self.why})"


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
