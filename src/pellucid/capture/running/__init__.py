"""How a network is run: guarded, fed, in what order of memory, how many rows at once, with what randomness."""

from pellucid.capture.running.answering import answered
from pellucid.capture.running.autograd import gradients
from pellucid.capture.running.batch_size import Budget, is_out_of_memory
from pellucid.capture.running.batching import Conduct
from pellucid.capture.running.blame import blamed, is_unfit
from pellucid.capture.running.detectors import manner_of
from pellucid.capture.running.double import in_double
from pellucid.capture.running.feeding import (
    bound,
    conduct,
    feed,
    forward,
    forward_together,
    goes_last,
    input_type,
    is_first_of_size,
    manner,
    outputs,
    with_rows,
)
from pellucid.capture.running.fitting import check_axes, first_operation
from pellucid.capture.running.guard import guarded
from pellucid.capture.running.hidden import comes_from_outside, hides
from pellucid.capture.running.interrupts import import_whole, obey
from pellucid.capture.running.modules import paths, walk
from pellucid.capture.running.opaque import nothing_to_look_at
from pellucid.capture.running.parameters import frozen
from pellucid.capture.running.presence import Presence
from pellucid.capture.running.randomness import Draws, network_seed
from pellucid.capture.running.recorder import (
    CUT_IN_THE_WAY,
    Change,
    NeedsWholeGraph,
    Recorder,
    Recording,
    Stop,
    find_module,
    memory_of,
)
from pellucid.capture.running.rows import close
from pellucid.capture.running.watch import thorough
from pellucid.capture.running.weights import checked_weights, drawn_weights, substituted, weighted_layers
from pellucid.capture.running.without_graph import unrecorded

__all__ = [
    "CUT_IN_THE_WAY",
    "Budget",
    "Change",
    "Conduct",
    "Draws",
    "NeedsWholeGraph",
    "Presence",
    "Recorder",
    "Recording",
    "Stop",
    "answered",
    "blamed",
    "bound",
    "check_axes",
    "checked_weights",
    "close",
    "comes_from_outside",
    "conduct",
    "drawn_weights",
    "feed",
    "find_module",
    "first_operation",
    "forward",
    "forward_together",
    "frozen",
    "goes_last",
    "gradients",
    "guarded",
    "hides",
    "import_whole",
    "in_double",
    "input_type",
    "is_first_of_size",
    "is_out_of_memory",
    "is_unfit",
    "manner",
    "manner_of",
    "memory_of",
    "network_seed",
    "nothing_to_look_at",
    "obey",
    "outputs",
    "paths",
    "substituted",
    "thorough",
    "unrecorded",
    "walk",
    "weighted_layers",
    "with_rows",
]
