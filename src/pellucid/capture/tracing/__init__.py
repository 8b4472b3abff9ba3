"""One pass taken apart, operation by operation."""

from pellucid.capture.tracing.decompose import Pieces, apply_alone, take_apart, take_pools_apart
from pellucid.capture.tracing.traced import INPUT, KeptStep, ModuleCall, Trace, TracedStep, Value
from pellucid.capture.tracing.tracer import trace

__all__ = [
    "INPUT",
    "KeptStep",
    "ModuleCall",
    "Pieces",
    "Trace",
    "TracedStep",
    "Value",
    "apply_alone",
    "take_apart",
    "take_pools_apart",
    "trace",
]
