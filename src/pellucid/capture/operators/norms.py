"""Norms over each sample's own values: layer, group, instance and root-mean-square norm, read as one form.

y = (x - m) / s * weight + bias, with the mean m (absent in root-mean-square norm) and the spread s of each group of
values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.operators.binding import bind, depends
from pellucid.capture.operators.calls import Call
from pellucid.capture.operators.linear import Affine
from pellucid.capture.operators.vocabulary import functions

_LAYER = functions("layer_norm")
_GROUP = functions("group_norm")
_ROOT = functions("rms_norm")
_INSTANCE = functions("instance_norm")
SAMPLE_NORMS = _LAYER | _GROUP | _ROOT | _INSTANCE


@dataclass(frozen=True)
class Norm:
    """One call of such a norm.

    Attributes:
        x: its input.
        split: reshapes a tensor like x so that each group lies along the axes `axes`.
        axes: counted from the end.
        weight, bias: broadcast over x, or None.
        eps: added to the mean square.
        centred: whether the mean is subtracted.
    """

    x: Tensor
    split: Callable[[Tensor], Tensor]
    axes: tuple[int, ...]
    weight: Tensor | None
    bias: Tensor | None
    eps: float
    centred: bool = True

    def centre(self, x: Tensor) -> Tensor:
        """x, in groups, without their means."""
        groups = self.split(x)
        return groups - groups.mean(self.axes, keepdim=True) if self.centred else groups

    def finish(self, groups: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """Groups as a tensor shaped as x, with weight and bias."""
        y = groups.reshape(self.x.shape)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    def spread_held(self) -> Affine:
        """The norm as a linear operation: what it divides by is that of its input, and constant."""
        scale = (self.centre(self.x.detach()).square().mean(self.axes, keepdim=True) + self.eps).rsqrt()

        def apply(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
            return self.finish(self.centre(x) * scale, weight, bias)

        return Affine(apply, self.weight, self.bias, kind="sample-normalisation")


def sample_norm(call: Call) -> Norm | None:
    """The norm that a call computes, if it depends on the picture through its input alone."""
    func, args, kwargs = call
    if func in _LAYER:
        x, shape, weight, bias, eps, _ = bind(args, kwargs, *_INPUT, ("normalized_shape", None), *_WEIGHTS, _FLAG)
    elif func in _ROOT:
        x, shape, weight, eps = bind(args, kwargs, *_INPUT, ("normalized_shape", None), ("weight", None), ("eps", None))
        bias, eps = None, torch.finfo(x.dtype).eps if eps is None else eps
    elif func in _GROUP:
        x, groups, weight, bias, eps, _ = bind(args, kwargs, *_INPUT, ("num_groups", None), *_WEIGHTS, _FLAG)
    else:
        x, _, _, weight, bias, own, _, eps, _ = bind(
            args, kwargs, *_INPUT, ("running_mean", None), ("running_var", None), ("weight", None), ("bias", None),
            ("use_input_stats", True), ("momentum", 0.1), ("eps", 1e-5), ("cudnn_enabled", True),
        )  # fmt: skip
        groups = x.shape[1]
        if not own:
            return None
    if not depends(x) or depends(weight) or depends(bias):
        return None
    weight, bias = (None if t is None else t.detach() for t in (weight, bias))
    if func in _LAYER | _ROOT:
        return Norm(x, lambda t: t, tuple(range(-len(shape), 0)), weight, bias, eps, centred=func in _LAYER)
    weight, bias = (None if t is None else t.reshape(-1, *[1] * (x.ndim - 2)) for t in (weight, bias))
    return Norm(x, lambda t: t.reshape(len(t), groups, -1), (-1,), weight, bias, eps)


_INPUT = (("input", None),)
_WEIGHTS: tuple[tuple[str, Any], ...] = (("weight", None), ("bias", None), ("eps", 1e-5))
_FLAG = ("cudnn_enabled", True)
