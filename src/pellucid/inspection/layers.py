"""Which layers can carry a map."""

from __future__ import annotations

from typing import Any

from torch import nn

from pellucid.capture.guard import guarded
from pellucid.capture.sites import Candidate, survey
from pellucid.inspection.inputs import read_input
from pellucid.models import wrap
from pellucid.types import Model


def layers(
    model: Model | nn.Module, picture: Any = None, size: int | tuple[int, int] | None = None
) -> tuple[Candidate, ...]:
    """The layers whose output has a spatial grid, in the order in which the network computes them.

    One pass finds them; which of them the score depends on is read from its gradient.

    Args:
        model: a `Model` or any `nn.Module`; left exactly as it was.
        picture: a path, PIL image or array, or a float tensor `[batch, channel, row, column]`; None is seeded noise.
        size: rows and columns of the noise in pixels, or one number for both; None is the model's own input size.

    Raises:
        BadOption: neither the model nor the caller says how large the input is.
    """
    model = wrap(model)
    image, _ = read_input(model, picture, size)
    with guarded(model.module):
        return survey(model, image).candidates
