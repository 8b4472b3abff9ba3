"""How far a class is ahead: what attacks climb."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def odds(scores: Tensor, classes: Tensor, *, certain: bool) -> Tensor:
    """How far a class is ahead of all others together, log p / (1 - p), `[picture]`.

    Its gradient is that of the cross-entropy, -log p, divided by p - 1: the same direction, so that the attacks take
    the published steps; but it does not vanish where the network is sure and the cross-entropy is rounded to 0.

    Args:
        scores: `[picture, class]`.
        classes: `[picture]`.
        certain: the scores are probabilities already: their logarithm is what softmax would be taken of.
    """
    if certain:
        scores = scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
    own = scores.gather(1, classes[:, None])[:, 0]
    return own - scores.scatter(1, classes[:, None], -math.inf).logsumexp(1)
