"""What is taken away from a picture, and what stands there instead: regions and fills, together the players."""

from pellucid.masking.fills import BLUR, Fill, blurred, fill_of, inside, smoothed
from pellucid.masking.players import Players
from pellucid.masking.regions import MOST, extent, regions_of
from pellucid.masking.tables import refuse_tables

__all__ = [
    "BLUR",
    "MOST",
    "Fill",
    "Players",
    "blurred",
    "extent",
    "fill_of",
    "inside",
    "refuse_tables",
    "regions_of",
    "smoothed",
]
