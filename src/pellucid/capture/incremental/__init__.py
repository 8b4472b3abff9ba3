"""Passes that compute only what a changed box of the picture changes."""

from pellucid.capture.incremental.scoring import incremental

__all__ = [
    "incremental",
]
