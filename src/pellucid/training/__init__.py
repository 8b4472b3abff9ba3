"""Training the networks of the zoo on pictures, and what is worth seeing of it."""

from pellucid.training.data import Examples, read_examples
from pellucid.training.loop import Pass, Settings, Trained, train

__all__ = ["Examples", "Pass", "Settings", "Trained", "read_examples", "train"]
