"""Training the networks of the zoo on pictures, and what is worth seeing of it."""

from pellucid.training.data import Examples, read_examples
from pellucid.training.hyperparameters import Settings
from pellucid.training.loop import Trained, TrainingPass, train

__all__ = ["Examples", "Settings", "Trained", "TrainingPass", "read_examples", "train"]
