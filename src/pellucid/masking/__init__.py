"""What is taken away from a picture, and what stands there instead: regions and fills, together the players."""

from pellucid.masking.fills import BLUR, Fill, blurred, fill_of, inside, smoothed
from pellucid.masking.players import Players
from pellucid.masking.regions import MOST, extent, regions_of

__all__ = [
    "BLUR",
    "MOST",
    "Fill",
    "Players",
    "blurred",
    "extent",
    "fill_of",
    "inside",
    "regions_of",
    "smoothed",
]
