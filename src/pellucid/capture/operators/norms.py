"""Norms over each sample's own values: layer, group, instance and root-mean-square norm, read as one form.

y = (x - m) / s * weight + bias, with the mean m (absent in root-mean-square norm) and the spread s of each group of
values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.capture.operators import families as op
from pellucid.capture.operators.binding import depends
from pellucid.capture.operators.calls import Call
from pellucid.capture.operators.linear import Affine
from pellucid.capture.operators.vocabulary import called

SAMPLE_NORMS = frozenset({op.LAYER_NORM, op.GROUP_NORM, op.RMS_NORM, op.INSTANCE_NORM})


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
    operator = called(func)
    if operator is None:
        return None
    named = operator.bind(args, kwargs, func)
    x, weight, bias, eps = named["input"], named["weight"], named.get("bias"), named["eps"]
    if depends(weight) or depends(bias) or not depends(x) or named.get("use_input_stats") is False:
        return None
    weight, bias = (None if t is None else t.detach() for t in (weight, bias))
    if operator in (op.LAYER_NORM, op.RMS_NORM):
        axes = tuple(range(-len(named["normalized_shape"]), 0))
        eps = torch.finfo(x.dtype).eps if eps is None else eps
        return Norm(x, lambda t: t, axes, weight, bias, eps, centred=operator is op.LAYER_NORM)
    groups = named.get("num_groups", x.shape[1])
    weight, bias = (None if t is None else t.reshape(-1, *[1] * (x.ndim - 2)) for t in (weight, bias))
    return Norm(x, lambda t: t.reshape(len(t), groups, -1), (-1,), weight, bias, eps)
