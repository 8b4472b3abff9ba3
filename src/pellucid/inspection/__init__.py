"""Looking into a model without explaining a decision: what it is made of, and what each part does."""

from pellucid.inspection.layers import layers
from pellucid.inspection.overview import Inspection, inspect
from pellucid.inspection.structure import Row, Structure
from pellucid.inspection.value import Look, look

__all__ = ["Inspection", "Look", "Row", "Structure", "inspect", "layers", "look"]
