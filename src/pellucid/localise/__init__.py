"""Weakly supervised localisation: from the maps of a classifier to boxes and masks in pixels of the picture."""

from pellucid.localise.localisation import Localisation, Located, locate
from pellucid.localise.segments import Segment

__all__ = ["Localisation", "Located", "Segment", "locate"]
