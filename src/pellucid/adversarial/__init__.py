"""Pictures changed so little that people do not see it and so cleverly that a network does."""

from pellucid.adversarial.attack import ATTACKS, Fooled, fool, smallest
from pellucid.adversarial.noise import from_noise

__all__ = ["ATTACKS", "Fooled", "fool", "from_noise", "smallest"]
