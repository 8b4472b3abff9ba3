"""The order in which a network learns the frequencies of a curve: low before high."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.models.trained import ModelCard
from pellucid.training.hyperparameters import Settings
from pellucid.training.loop import Progress, Trained, predict, train
from pellucid.zoo.architectures import build

FREQUENCIES = (1, 3, 5)
FITTED = 0.1
"""Relative error of an amplitude below which a frequency counts as learned."""
LASTING = 20
"""Passes for which it has to stay there: the error swings."""
NETWORK = "multilayer-perceptron"
SETTINGS = Settings(passes=1500, batch=201, rate=5e-3, shift=0, patience=1500)
_POINTS = 201


@dataclass
class Waves:
    """How a network learned y = sin(x) + sin(3 x) + sin(5 x) on -pi to pi, three waves of equal height.

    Attributes:
        trained: the network and its history.
        card: what has to be known to use it.
        curve: x, target and answer, `[3, point]`.
        errors: by frequency k, how far the amplitude of the answer at k is from 1, before the first pass and
            after each.
        order: frequencies in the order in which they were learned; those that never were are left out.
        seconds: of training.
    """

    trained: Trained
    card: ModelCard
    curve: Tensor
    errors: dict[int, list[float]]
    order: list[int]
    seconds: float


def learn_waves(settings: Settings | None = None, *, progress: Progress | None = None) -> Waves:
    """Train a multilayer perceptron (two layers of 50 hidden units) on a sum of waves, and watch each frequency.

    Xu, Zhang and Xiao, "Training behavior of deep neural network in frequency domain" (the frequency principle),
    arXiv:1807.01251: networks fit low frequencies first.

    Args:
        settings: how to train; None takes those that show it well.
        progress: function that is called with what is going on, steps done and steps in all.
    """
    settings = settings or SETTINGS
    x, y = _points(_POINTS)
    between, between_y = _points(_POINTS - 1)  # other points of the same curve
    options = {"sizes": [1, 50, 50, 1], "transfer": "tan-sigmoid"}
    module = build(NETWORK, options, seed=settings.seed)
    errors: dict[int, list[float]] = {k: [] for k in FREQUENCIES}

    def watch(now: nn.Module) -> None:
        answers = predict(now, x)
        for k in FREQUENCIES:
            errors[k].append(_error(answers[:-1, 0], x[:-1, 0], k))

    trained = train(module, (x, y), (between, between_y), settings, progress=progress, watch=watch)
    curve = torch.stack([x[:, 0], y[:, 0], predict(module, x)[:, 0]])
    return Waves(trained, ModelCard(NETWORK, options), curve, errors, order_of(errors), trained.seconds)


def order_of(errors: dict[int, list[float]]) -> list[int]:
    """Frequencies by the first pass after which their error stays below `FITTED` for `LASTING` passes."""
    since = {k: _lasting(values) for k, values in errors.items()}
    return sorted((k for k in since if since[k] is not None), key=lambda k: since[k] or 0)


def _lasting(values: list[float]) -> int | None:
    low = 0
    for number, value in enumerate(values):
        low = low + 1 if value < FITTED else 0
        if low == LASTING:
            return number - LASTING + 1
    return None


def _points(count: int) -> tuple[Tensor, Tensor]:
    x = torch.linspace(-math.pi, math.pi, count)[:, None]
    return x, sum((torch.sin(k * x) for k in FREQUENCIES), torch.zeros_like(x))


def _error(answer: Tensor, x: Tensor, k: int) -> float:
    """Relative error of the complex amplitude at k; the points cover one period evenly."""
    amplitude = 2 * (answer * torch.exp(-1j * k * x)).mean()
    return float((amplitude + 1j).abs())
