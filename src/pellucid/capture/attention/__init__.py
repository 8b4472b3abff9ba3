"""What the attention layers of a transformer do, measured on its passes."""

from pellucid.capture.attention.passes import look_at_attention, summaries

__all__ = [
    "look_at_attention",
    "summaries",
]
