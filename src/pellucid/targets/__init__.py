"""Targets: which number of the model's output is explained. One scalar per sample, always maximised.

A target scores *rows* of an output. Methods ask the model about many variants of each picture, so a row carries the
number of the picture that it came from (`samples`), and "class 3 for picture 0, class 7 for picture 1" stays right
however the rows are packed.
"""

from pellucid.targets.answers import (
    CONSTANT,
    KINDS,
    NUMBER,
    are_probabilities,
    assumption,
    both_sides,
    checked_above,
    checked_answers,
    checked_unit,
    has_probabilities,
    independent,
    label_log_odds,
    log_probabilities,
    notes_on,
    probabilities,
    two_sided,
)
from pellucid.targets.base import Interpretation, Target, TargetContext, TargetLike
from pellucid.targets.classes import Against, ClassScores, Logit, Margin, Probability, Residual, Rivals, Sigmoid, Top
from pellucid.targets.custom import Custom
from pellucid.targets.detections import Candidates, DetectedObjects, Detection, Detections
from pellucid.targets.outputs import Part, class_scores, leaves, logits, scores_of
from pellucid.targets.parse import FORMS, all_targets, asks_for_all, parse_targets
from pellucid.targets.reading import NotUnderstood, read
from pellucid.targets.regions import PixelClasses, Region
from pellucid.targets.rows import as_probability, is_probability, of_rows
from pellucid.targets.similarity import Similarity
from pellucid.targets.somewhere import ClassAt
from pellucid.targets.usual import Usual, usual_targets

__all__ = [
    "CONSTANT",
    "FORMS",
    "KINDS",
    "NUMBER",
    "Against",
    "Candidates",
    "ClassAt",
    "ClassScores",
    "Custom",
    "DetectedObjects",
    "Detection",
    "Detections",
    "Interpretation",
    "Logit",
    "Margin",
    "NotUnderstood",
    "Part",
    "PixelClasses",
    "Probability",
    "Region",
    "Residual",
    "Rivals",
    "Sigmoid",
    "Similarity",
    "Target",
    "TargetContext",
    "TargetLike",
    "Top",
    "Usual",
    "all_targets",
    "are_probabilities",
    "as_probability",
    "asks_for_all",
    "assumption",
    "both_sides",
    "checked_above",
    "checked_answers",
    "checked_unit",
    "class_scores",
    "has_probabilities",
    "independent",
    "is_probability",
    "label_log_odds",
    "leaves",
    "log_probabilities",
    "logits",
    "notes_on",
    "of_rows",
    "parse_targets",
    "probabilities",
    "read",
    "scores_of",
    "two_sided",
    "usual_targets",
]
