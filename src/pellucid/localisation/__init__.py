"""Weakly supervised localisation: from the maps of a classifier to boxes and masks in pixels of the picture."""

from pellucid.localisation.localisation import Localisation, locate
from pellucid.localisation.located import Located
from pellucid.localisation.segments import Segment

__all__ = ["Localisation", "Located", "Segment", "locate"]
