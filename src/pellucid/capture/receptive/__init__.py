"""What each place of a layer can see of the picture."""

from pellucid.capture.receptive.field import ReceptiveField, receptive_fields
from pellucid.capture.receptive.homes import Homes, size
from pellucid.capture.receptive.rules import around, lean

__all__ = [
    "Homes",
    "ReceptiveField",
    "around",
    "lean",
    "receptive_fields",
    "size",
]
