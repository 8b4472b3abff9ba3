"""Judging maps: `pellucid.evaluate`, and what it lets metrics ask of the model."""

from pellucid.evaluation.controls import CONTROLS
from pellucid.evaluation.judge import evaluate
from pellucid.judging import Evaluation, Judgement, Metric, Score

__all__ = ["CONTROLS", "Evaluation", "Judgement", "Metric", "Score", "evaluate"]
