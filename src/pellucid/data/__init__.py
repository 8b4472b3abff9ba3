"""Pictures whose truth is known exactly, made from what packages carry, and the files that the pages speak of."""

from pellucid.data.mosaic import Mosaics, mosaics
from pellucid.data.sample_files import samples

__all__ = ["Mosaics", "mosaics", "samples"]
