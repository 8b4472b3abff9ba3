"""Which method is to be trusted for this model and these pictures: methods x metrics, side by side."""

from pellucid.comparison.comparison import Compared, Comparison, NotCompared, Place
from pellucid.comparison.run import compare

__all__ = ["Compared", "Comparison", "NotCompared", "Place", "compare"]
