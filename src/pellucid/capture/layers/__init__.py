"""Which layers a network has, how their tensors hold places, and what one pass gives there."""

from pellucid.capture.layers.candidates import Candidate, why_recommended
from pellucid.capture.layers.footprints import footprint, measured
from pellucid.capture.layers.grids import check_grid, declared
from pellucid.capture.layers.measured_layouts import layout_of, layouts
from pellucid.capture.layers.sites import anything, has_no_gradient, recommended, stages, survey

__all__ = [
    "Candidate",
    "anything",
    "check_grid",
    "declared",
    "footprint",
    "has_no_gradient",
    "layout_of",
    "layouts",
    "measured",
    "recommended",
    "stages",
    "survey",
    "why_recommended",
]
