"""Models: the embedded one, those of libraries, and any module of the user's."""

from pellucid.models.load import available, load
from pellucid.models.recognisers import ModelRecogniser
from pellucid.models.wrap import wrap

__all__ = ["ModelRecogniser", "available", "load", "wrap"]
