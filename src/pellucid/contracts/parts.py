"""Several inputs of a network as one: flattened and laid end to end, and cut apart again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.contracts.axes import Maps
from pellucid.contracts.model import InputPart


def joined(inputs: Sequence[Maps]) -> Maps:
    """Several inputs `[batch, channel, *axes]` as one, `[batch, 1, feature]`; a single one stays as it is."""
    if len(inputs) == 1:
        return inputs[0]
    return torch.cat([each.flatten(1) for each in inputs], 1)[:, None]


def cut(whole: Tensor, parts: Sequence[InputPart]) -> list[Maps]:
    """The inputs `[batch, channel, *axes]` that `joined` made `[batch, 1, feature]` or `[batch, feature]` of."""
    if len(parts) < 2:
        return [whole]
    pieces = whole.reshape(len(whole), -1).split_with_sizes([part.size for part in parts], 1)
    return [piece.reshape(len(piece), *part.held) for piece, part in zip(pieces, parts, strict=True)]
