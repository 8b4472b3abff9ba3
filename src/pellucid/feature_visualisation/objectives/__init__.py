"""Objectives: what a picture shall bring about, one file for each kind, and how they are written and read.

`parse('channel("blocks.5", 12) - 0.01 * tv()')` gives the same as `Channel("blocks.5", 12) - 0.01 * TotalVariation()`.
"""

from pellucid.feature_visualisation.objectives.batches import Alignment, Diversity
from pellucid.feature_visualisation.objectives.catalogue import CATALOGUE, Named, described, entry
from pellucid.feature_visualisation.objectives.classes import ClassLogit, ClassProbability
from pellucid.feature_visualisation.objectives.context import ObjectiveContext
from pellucid.feature_visualisation.objectives.directions import (
    Direction,
    DirectionNeuron,
    Facet,
    Stored,
    along,
    along_each,
)
from pellucid.feature_visualisation.objectives.expression import (
    Combined,
    Constant,
    Objective,
    Weight,
    of_pictures,
    one_each,
    rebuilt,
)
from pellucid.feature_visualisation.objectives.layer import OfLayer, pick, place
from pellucid.feature_visualisation.objectives.parsing import parse
from pellucid.feature_visualisation.objectives.regularisers import (
    L1,
    L2,
    Alpha,
    Blur,
    BlurAlpha,
    Boundary,
    Energy,
    TotalVariation,
    smoothed,
)
from pellucid.feature_visualisation.objectives.resemblance import (
    Caricature,
    ChannelGroup,
    Difference,
    Inversion,
    Spot,
)
from pellucid.feature_visualisation.objectives.units import Channel, DeepDream, Head, Neuron, Token, Unit

__all__ = [
    "CATALOGUE",
    "L1",
    "L2",
    "Alignment",
    "Alpha",
    "Blur",
    "BlurAlpha",
    "Boundary",
    "Caricature",
    "Channel",
    "ChannelGroup",
    "ClassLogit",
    "ClassProbability",
    "Combined",
    "Constant",
    "DeepDream",
    "Difference",
    "Direction",
    "DirectionNeuron",
    "Diversity",
    "Energy",
    "Facet",
    "Head",
    "Inversion",
    "Named",
    "Neuron",
    "Objective",
    "ObjectiveContext",
    "OfLayer",
    "Spot",
    "Stored",
    "Token",
    "TotalVariation",
    "Unit",
    "Weight",
    "along",
    "along_each",
    "described",
    "entry",
    "of_pictures",
    "one_each",
    "parse",
    "pick",
    "place",
    "rebuilt",
    "smoothed",
]
