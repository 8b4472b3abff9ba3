"""Passes that compute only what a changed box of the input changes."""

from pellucid.capture.incremental import choosing, pointwise, pooling, reshaping, resizing, windows
from pellucid.capture.incremental.passes import DECLINED, RULES
from pellucid.capture.incremental.scoring import incremental

RULE_FILES = (choosing, pointwise, pooling, reshaping, resizing, windows)
"""Importing them fills `RULES`."""

__all__ = [
    "DECLINED",
    "RULES",
    "incremental",
]
