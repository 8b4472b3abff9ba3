"""Passes that compute only what a changed box of the picture changes."""

from pellucid.capture.incremental import pointwise, reshaping, windows
from pellucid.capture.incremental.passes import DECLINED, RULES
from pellucid.capture.incremental.scoring import incremental

RULE_FILES = (pointwise, reshaping, windows)
"""Importing them fills `RULES`."""

__all__ = [
    "DECLINED",
    "RULES",
    "incremental",
]
