"""Which method is to be trusted for this model and these pictures: methods x metrics, side by side."""

from pellucid.comparing.comparison import Compared, Comparison, Failed, Place
from pellucid.comparing.run import compare

__all__ = ["Compared", "Comparison", "Failed", "Place", "compare"]
