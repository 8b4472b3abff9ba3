"""The records of all families, side by side; importing this file fills the vocabulary."""

from pellucid.capture.operators.activations import *  # noqa: F403
from pellucid.capture.operators.arithmetic import *  # noqa: F403
from pellucid.capture.operators.attention import *  # noqa: F403
from pellucid.capture.operators.convolution import *  # noqa: F403
from pellucid.capture.operators.moving import *  # noqa: F403
from pellucid.capture.operators.normalisation import *  # noqa: F403
from pellucid.capture.operators.pooling import *  # noqa: F403
from pellucid.capture.operators.products import *  # noqa: F403
from pellucid.capture.operators.recurrent import *  # noqa: F403
from pellucid.capture.operators.reductions import *  # noqa: F403
