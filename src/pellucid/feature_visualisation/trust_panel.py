"""What stands beside a drawn picture: the photographs that its unit likes, and how alike the network treats them."""

from __future__ import annotations

from dataclasses import dataclass

_ROOM = 0.05
"""Where photographs of the unit are hardly more alike than any others, a share of the difference would be noise."""


@dataclass(frozen=True)
class Path:
    """How alike one layer's answers are, mean Spearman rank correlations over the layer's channels.

    Attributes:
        layer: where.
        synthetic: between the synthetic picture and the unit's top photographs.
        natural: between the top photographs themselves.
        others: between the top photographs and photographs that the unit does not care for.
    """

    layer: str
    synthetic: float
    natural: float
    others: float

    @property
    def share(self) -> float | None:
        """0: no more alike than any photographs; 1: as alike as photographs of the unit. None where these are one."""
        room = self.natural - self.others
        return (self.synthetic - self.others) / room if room > _ROOM else None


@dataclass(frozen=True)
class Natural:
    """A photograph that a unit likes.

    Attributes:
        source: its path or sample name.
        value: of the unit.
        box: the part that the unit could see where it answered most, in the original's pixels: left, top, right,
            bottom. All that the network sees for classes, and where a layer has no such part.
    """

    source: str
    value: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class VisualisationTrust:
    """What stands beside one picture of a dream.

    Attributes:
        unit: part of the objective that was compared, as text.
        achieved: value of the unit for the synthetic picture, untransformed.
        most: largest value among the photographs.
        above: share of the photographs that it exceeds, 0 to 1.
        pictures: number of photographs.
        top: photographs with the largest values.
        slope: slope of the synthetic picture's power spectrum.
        natural_slope: mean slope of the top photographs'.
        paths: likeness layer by layer, from the first to the unit's own.
    """

    unit: str
    achieved: float
    most: float
    above: float
    pictures: int
    top: tuple[Natural, ...]
    slope: float
    natural_slope: float
    paths: tuple[Path, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Achieved over the most among photographs; None unless that is positive."""
        return self.achieved / self.most if self.most > 0 else None

    @property
    def verdict(self) -> str:
        """A sentence."""
        known = [path.share for path in self.paths if path.share is not None]
        times = f"{self.ratio:.1f} times the most" if self.ratio else "beyond the most"
        if self.achieved <= self.most:
            times = f"less than the most (it exceeds {self.above:.0%})"
        head = f"It reaches {times} of {self.pictures} photographs."
        if not known:
            return f"{head} These are too alike or too few to tell whether the network treats it as one of them."
        low = sum(share < 0.5 for share in known)
        if low:
            return (
                f"{head} In {low} of the {len(known)} layers that tell this unit's photographs from any "
                "others it is processed less like them than halfway from these: read it with care."
            )
        return f"{head} All the way the network treats it much as it treats photographs of this unit."
