"""Looking into a model without explaining a decision: what it is made of, and what each part does."""

from pellucid.inspection.layers import layers
from pellucid.inspection.overview import Inspection, inspect
from pellucid.inspection.structure import Row, Structure

__all__ = ["Inspection", "Row", "Structure", "inspect", "layers"]
