"""Backward rules: what flows back through a ReLU, decided by the operation itself and not by a module.

A `TorchFunctionMode` replaces the rectifier *operation* for the length of one forward pass, whether a module, a
function or a tensor method calls it, in place or not, and however often. The replacement computes the same values;
its backward reads the rule that is in force when gradients are taken, so one forward pass serves every rule.

With x the rectifier's input, c its ceiling (none for ReLU, 6 for ReLU6) and R the signal from above:

    plain      1[0 < x < c] R             the gradient
    guided     1[0 < x < c] max(R, 0)     Springenberg et al., arXiv:1412.6806, section 3.4
    deconvnet  max(R, 0)                  Zeiler & Fergus, arXiv:1311.2901

What cannot be told apart from other arithmetic is treated as such: a rectifier put together by hand out of `where`,
`masked_fill`, multiplication by a mask or `abs` is none here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pellucid.capture.graph import made_by
from pellucid.capture.rewriting import Rewriting, bind

# Elementwise activations that have no rectifier rule, by the names of their nodes in the graph.
OTHER_ACTIVATIONS = {
    "CeluBackward": "celu",
    "EluBackward": "elu or selu",
    "GeluBackward": "gelu",
    "GluBackward": "glu",
    "HardshrinkBackward": "hardshrink",
    "HardsigmoidBackward": "hardsigmoid",
    "HardswishBackward": "hardswish",
    "HardtanhBackward": "hardtanh with a floor other than 0",
    "LeakyReluBackward": "leaky_relu",
    "LogSigmoidBackward": "logsigmoid",
    "MaximumBackward": "maximum",
    "MinimumBackward": "minimum",
    "MishBackward": "mish",
    "PreluKernelBackward": "prelu",
    "ReluBackward": "a relu hidden from Python",
    "RreluWithNoiseBackward": "rrelu",
    "SigmoidBackward": "sigmoid",
    "SiluBackward": "silu",
    "SoftplusBackward": "softplus",
    "SoftshrinkBackward": "softshrink",
    "TanhBackward": "tanh",
    "ThresholdBackward": "threshold",
}
# Custom functions that only read a map between its cells: torchvision's detectors read features inside boxes.
_INTERPOLATES = {"GeneratedBackwardFor_torchvision_roi_align_default"}
_RELU = {F.relu, torch.relu, Tensor.relu}
_RELU_IN_PLACE = {torch.relu_, Tensor.relu_}
_HARDTANH = {F.hardtanh: False, F.hardtanh_: True, F.relu6: False}
_THRESHOLD = {F.threshold: False, torch.threshold_: True}
_CLAMP = {torch.clamp: False, Tensor.clamp: False, torch.clip: False, Tensor.clip: False}
_CLAMP |= {torch.clamp_: True, Tensor.clamp_: True, torch.clip_: True, Tensor.clip_: True}
_CLAMP_MIN = {torch.clamp_min: False, Tensor.clamp_min: False, torch.clamp_min_: True, Tensor.clamp_min_: True}


class Rectifiers(Rewriting):
    """Replaces every rectifier by one with a choice of backward rules; `rule` is read when gradients are taken."""

    freezes = False

    def __init__(self, rule: str = "plain") -> None:
        super().__init__()
        self.rule = rule

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        found = as_rectifier(func, args, kwargs) if torch.is_grad_enabled() else None
        if found is None:
            return func(*args, **kwargs)
        x, ceiling, in_place = found
        return _Rectified.apply(x, ceiling, in_place, self) if x.requires_grad else func(*args, **kwargs)

    @contextmanager
    def use(self, rule: str) -> Iterator[None]:
        """Take gradients under another rule."""
        before, self.rule = self.rule, rule
        try:
            yield
        finally:
            self.rule = before

    def uncovered(self, made: Collection[Any]) -> tuple[str, ...]:
        """Activations that no rectifier rule covers."""
        return other_activations(made)


class _Rectified(torch.autograd.Function):
    """min(max(x, 0), c), with the backward rule of a `Rectifiers`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float, in_place: bool, rules: Rectifiers) -> Tensor:
        if math.isinf(ceiling):
            y = x.relu_() if in_place else x.relu()
        else:
            y = x.clamp_(0, ceiling) if in_place else x.clamp(0, ceiling)
        if in_place:
            ctx.mark_dirty(x)
        # views of one base share a version, so writing another slice would invalidate this one
        ctx.save_for_backward(y.clone() if in_place and x._is_view() else y)
        ctx.ceiling, ctx.rules = ceiling, rules
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None, None, None]:
        (y,) = ctx.saved_tensors
        rule = ctx.rules.rule
        if rule != "plain":
            signal = signal.relu()
        if rule != "deconvnet":  # 0 < y < c exactly where 0 < x < c
            if math.isinf(ctx.ceiling):
                signal = torch.ops.aten.threshold_backward(signal, y, 0)
            else:
                signal = torch.ops.aten.hardtanh_backward(signal, y, 0, ctx.ceiling)
        return signal, None, None, None


def as_rectifier(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, float, bool] | None:
    """The input, ceiling and in-place flag if this call is min(max(x, 0), c); None if it is anything else."""
    try:
        if func in _RELU or func in _RELU_IN_PLACE:
            x, in_place = bind(args, kwargs, ("input", None), ("inplace", False))
            return x, math.inf, bool(in_place) or func in _RELU_IN_PLACE
        if func is F.relu6:
            x, in_place = bind(args, kwargs, ("input", None), ("inplace", False))
            return x, 6.0, bool(in_place)
        if func in _HARDTANH:
            x, low, high, in_place = bind(
                args, kwargs, ("input", None), ("min_val", -1.0), ("max_val", 1.0), ("inplace", False)
            )
            return (x, float(high), bool(in_place) or _HARDTANH[func]) if low == 0 else None
        if func in _THRESHOLD:
            x, level, value, in_place = bind(
                args, kwargs, ("input", None), ("threshold", None), ("value", None), ("inplace", False)
            )
            return (x, math.inf, bool(in_place) or _THRESHOLD[func]) if level == 0 and value == 0 else None
        table = _CLAMP if func in _CLAMP else _CLAMP_MIN if func in _CLAMP_MIN else None
        if table is not None:
            x, low, high = bind(args, kwargs, ("input", None), ("min", None), ("max", None))
            if isinstance(low, (int, float)) and low == 0 and (high is None or isinstance(high, (int, float))):
                return x, math.inf if high is None else float(high), table[func]
    except TypeError:  # unhashable or unexpected arguments: not a call that we know
        return None
    return None


def other_activations(made: Iterable[Any]) -> tuple[str, ...]:
    """Names of the activations among these nodes of a graph that no rectifier rule covers.

    The graph is the authority: an activation that reached it by any road (a custom function, TorchScript, a compiled
    part, a function that the mode does not know) is found here, so nothing is silently treated as plain.
    """
    return tuple(sorted({name for node in made if (name := _activation_name(node))}))


def _activation_name(node: Any) -> str | None:
    owner = made_by(node)
    if owner is not None:
        passed = owner is _Rectified or owner.__name__ in _INTERPOLATES
        return None if passed else f"the custom function {owner.__name__}"
    kind = node.name()
    if "jit" in kind.lower() or "DifferentiableGraph" in kind:
        return "TorchScript code"
    if kind.startswith("Clamp") and 0 in (getattr(node, "_saved_min", None), getattr(node, "_saved_max", None)):
        return "clamp at 0"
    return OTHER_ACTIVATIONS.get(kind.rstrip("0123456789"))
