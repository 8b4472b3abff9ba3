"""Looking into a model without explaining a decision: what it is made of, and what each part does."""

from pellucid.inspection.advice import Layer, Layers, layers
from pellucid.inspection.dissection import Dissection, Match, dissect
from pellucid.inspection.overview import Inspection, inspect
from pellucid.inspection.strongest import Hit
from pellucid.inspection.structure import Row, Structure
from pellucid.inspection.units import TopPictures, top_pictures
from pellucid.inspection.value import Look, look

__all__ = [
    "Dissection",
    "Hit",
    "Inspection",
    "Layer",
    "Layers",
    "Look",
    "Match",
    "Row",
    "Structure",
    "TopPictures",
    "dissect",
    "inspect",
    "layers",
    "look",
    "top_pictures",
]
