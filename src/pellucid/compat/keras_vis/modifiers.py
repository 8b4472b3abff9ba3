"""What may be done to gradients and inputs on the way, under keras-vis's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from pellucid.errors import BadOption, unknown

Array = np.ndarray[Any, Any]
EPSILON = 1e-7
"""Keras's."""

RULES = {"guided": "guided", "rectified": "deconvnet", "relu": "deconvnet", "deconv": "deconvnet"}
"""keras-vis's backprop modifiers, by the names that Pellucid has for these rules.

`relu` names the backward pass, not the forward one: every positive signal passes, whatever the rectifier saw.
"""
GRADIENTS: dict[str, Callable[[Array], Array]] = {
    "absolute": np.abs,
    "invert": lambda gradient: 1.0 / (gradient + EPSILON),
    "negate": np.negative,
    "relu": lambda gradient: np.maximum(gradient, 0.0),
    "small_values": lambda gradient: np.abs(1.0 / (gradient + EPSILON)),
}


def rule(modifier: str | None) -> str:
    """The rule of the backward pass.

    Raises:
        UnknownName: another modifier.
    """
    if modifier is None:
        return "plain"
    if modifier not in RULES:
        raise unknown("backprop modifier", str(modifier), RULES, f"Choose from: {', '.join(RULES)}.")
    return RULES[modifier]


def on_gradients(modifier: str | Callable[[Array], Array] | None) -> Callable[[Array], Array]:
    """The function of gradients.

    Raises:
        UnknownName: another modifier.
    """
    if modifier is None:
        return lambda gradient: gradient
    if callable(modifier):
        return modifier
    if modifier not in GRADIENTS:
        raise unknown("gradient modifier", str(modifier), GRADIENTS, f"Choose from: {', '.join(GRADIENTS)}.")
    return GRADIENTS[modifier]


class Jitter:
    """Shift the picture in each step, wrapped around; one for `input_modifiers`.

    Args:
        jitter: the largest shift, of all sides or of rows and columns: a share of the side below 1, else pixels.
    """

    def __init__(self, jitter: float | Sequence[float] = 0.05) -> None:
        self.most = [float(n) for n in (jitter if isinstance(jitter, Sequence) else (jitter, jitter))]
        if len(self.most) != 2 or min(self.most) < 0:
            raise BadOption(f"Expected a jitter of 0 or more, or one for rows and one for columns; got {jitter!r}.")
        self._random = np.random.default_rng(torch.initial_seed())

    def pre(self, inp: Array) -> Array:
        """The picture `[1, row, column, channel]`, shifted."""
        most = [int(n * side if n < 1 else n) for n, side in zip(self.most, inp.shape[1:3], strict=True)]
        return np.roll(inp, [int(self._random.integers(-n, n + 1)) for n in most], axis=(1, 2))

    def post(self, inp: Array) -> Array:
        """The picture as it is."""
        return inp
