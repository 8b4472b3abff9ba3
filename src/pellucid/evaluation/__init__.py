"""Judging maps: `pellucid.evaluate`, and what it lets metrics ask of the model."""

from pellucid.contracts import Evaluation, Metric, MetricResult, Score
from pellucid.evaluation.columns import Column, column_of
from pellucid.evaluation.controls import CONTROLS
from pellucid.evaluation.joining import joined
from pellucid.evaluation.judge import evaluate
from pellucid.evaluation.lead import Lead
from pellucid.evaluation.trust import Trust, cost_of_trust, judge_trust, left_out, seconds_for, trust_of

__all__ = [
    "CONTROLS",
    "Column",
    "Evaluation",
    "Lead",
    "Metric",
    "MetricResult",
    "Score",
    "Trust",
    "column_of",
    "cost_of_trust",
    "evaluate",
    "joined",
    "judge_trust",
    "left_out",
    "seconds_for",
    "trust_of",
]
