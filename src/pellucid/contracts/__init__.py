"""The vocabulary: frozen values and protocols that every other part of Pellucid speaks in.

Shapes are written `[batch, channel, *axes]`, of pictures `[batch, channel, row, column]`. A larger score is always
better.
"""

from pellucid.contracts.axes import TABLE, USUAL, Axis, AxisName, Box, Map, Maps, Scores, axes_of
from pellucid.contracts.choice import Choice, ChosenBy
from pellucid.contracts.evidence import Attentions, Evidence
from pellucid.contracts.geometry import Canvas, Frame
from pellucid.contracts.input_map import InputMap, Share
from pellucid.contracts.layers import Grid, JoinedSites, Layout, Site
from pellucid.contracts.method import DescribedFunction, Method, Passes, Reference, RegistryEntry
from pellucid.contracts.metric import (
    NO_PROBABILITY,
    ROUNDING,
    STILL,
    TRUTH,
    Metric,
    MetricResult,
    Reattribution,
    ScoreQueries,
)
from pellucid.contracts.model import Classes, InputPart, Model, Preprocess, kind_of
from pellucid.contracts.parts import cut, joined
from pellucid.contracts.probe import (
    LocalPerturbation,
    NamedInputs,
    Noise,
    PartLike,
    Perturbation,
    ProbeLike,
    SamplesDone,
    VariantScores,
)
from pellucid.contracts.regions import DEFAULT, Regions
from pellucid.contracts.result import Attribution, Cost, Evaluation, Provenance, Score
from pellucid.contracts.sample import Picture, Prediction, Sample
from pellucid.contracts.unsaved import NetworkNotSaved, Unsaved

__all__ = [
    "DEFAULT",
    "NO_PROBABILITY",
    "ROUNDING",
    "STILL",
    "TABLE",
    "TRUTH",
    "USUAL",
    "Attentions",
    "Attribution",
    "Axis",
    "AxisName",
    "Box",
    "Canvas",
    "Choice",
    "ChosenBy",
    "Classes",
    "Cost",
    "DescribedFunction",
    "Evaluation",
    "Evidence",
    "Frame",
    "Grid",
    "InputMap",
    "InputPart",
    "JoinedSites",
    "Layout",
    "LocalPerturbation",
    "Map",
    "Maps",
    "Method",
    "Metric",
    "MetricResult",
    "Model",
    "NamedInputs",
    "NetworkNotSaved",
    "Noise",
    "PartLike",
    "Passes",
    "Perturbation",
    "Picture",
    "Prediction",
    "Preprocess",
    "ProbeLike",
    "Provenance",
    "Reattribution",
    "Reference",
    "Regions",
    "RegistryEntry",
    "Sample",
    "SamplesDone",
    "Score",
    "ScoreQueries",
    "Scores",
    "Share",
    "Site",
    "Unsaved",
    "VariantScores",
    "axes_of",
    "cut",
    "joined",
    "kind_of",
]
