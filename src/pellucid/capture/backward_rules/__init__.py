"""What a pass sends back instead of the gradient: rectifiers, DeepLIFT, excitation, biases, relevance."""

from pellucid.capture.backward_rules.base import Rewriting
from pellucid.capture.backward_rules.registry import PLAIN, BackwardRule, rule_of
from pellucid.capture.backward_rules.relu import Rectifiers, as_rectifier

__all__ = [
    "PLAIN",
    "BackwardRule",
    "Rectifiers",
    "Rewriting",
    "as_rectifier",
    "rule_of",
]
