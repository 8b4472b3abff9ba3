"""Convolution with what follows it, as one call: statistics folded into its weights, activations joined on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

Sides: TypeAlias = tuple[tuple[int, int], ...]
"""Padding: how many places in front of each spatial axis, and behind it."""

# oneDNN's convolution with an activation in the same call; torch's own compiler is built on it.
_FUSED = getattr(torch.ops.mkldnn, "_convolution_pointwise", None) if torch._C._has_mkldnn else None
_FUSED_TYPES = (torch.float32, torch.bfloat16)
_PLAIN = (F.conv1d, F.conv2d, F.conv3d)
_FOLDS = (torch.float32, torch.float64)
"""Types in which statistics are folded into weights; in shorter ones that would round the weights again."""


@dataclass(frozen=True)
class After:
    """An activation: its name to oneDNN, its numbers, and the function itself."""

    name: str
    numbers: tuple[float, ...]
    function: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution's parameters, and the activation behind it.

    Attributes:
        weight, bias: as torch has them.
        stride, dilation, groups: likewise.
        after: what follows.
    """

    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    after: After | None = None
    packed: dict[torch.dtype, Tensor] = field(default_factory=dict)

    def __call__(self, maps: Tensor, around: Sides) -> Tensor:
        """The result for `[n, channel, *axes]` with this padding of zeros around it."""
        return self._run(maps, around, self.bias, self.after)

    def linear(self, maps: Tensor, around: Sides) -> Tensor:
        """The same without what follows."""
        return self._run(maps, around, self.bias, None)

    def change(self, differences: Tensor, around: Sides) -> Tensor:
        """What differences of the input change about `linear`."""
        return self._run(differences, around, None, None)

    def _run(self, maps: Tensor, around: Sides, bias: Tensor | None, after: After | None) -> Tensor:
        if any(before != behind for before, behind in around):
            maps, around = padded(maps, around), tuple((0, 0) for _ in around)
        padding = tuple(before for before, _ in around)
        if _FUSED is not None and maps.device.type == "cpu" and maps.dtype in _FUSED_TYPES:
            name, numbers = (after.name, after.numbers) if after else ("none", ())
            found: Tensor = _FUSED(
                maps, self._packed(maps, padding), self._as(maps, bias), padding, self.stride, self.dilation,
                self.groups, name, list(numbers), "",
            )  # fmt: skip
            return found
        weight, bias = self.weight.to(maps.dtype), self._as(maps, bias)
        plain: Callable[..., Tensor] = _PLAIN[len(padding) - 1]
        found = plain(maps, weight, bias, self.stride, padding, self.dilation, self.groups)
        return after.function(found) if after else found

    def _as(self, maps: Tensor, bias: Tensor | None) -> Tensor | None:
        return None if bias is None else bias.to(maps.dtype)

    def _packed(self, maps: Tensor, padding: tuple[int, ...]) -> Tensor:
        """The weight in the order that oneDNN likes for this kind of input, found once."""
        if maps.dtype not in self.packed:
            reorder: Any = getattr(torch._C._nn, f"mkldnn_reorder_conv{len(padding)}d_weight", None)
            given = (list(padding), list(self.stride), list(self.dilation), self.groups, list(maps.shape))
            weight = self.weight.detach().to(maps.dtype)
            self.packed[maps.dtype] = weight if reorder is None else reorder(weight.to_mkldnn(), *given)
        return self.packed[maps.dtype]

    @property
    def work(self) -> int:
        """Multiply-adds for each number of the result."""
        return self.weight[0].numel()

    @property
    def may_fold(self) -> bool:
        """Whether factors per channel can become a part of the weights."""
        return self.after is None and self.weight.dtype in _FOLDS

    def folded(self, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Convolution:
        """This and then batch norm, as one convolution."""
        scale = (var + eps).rsqrt() if weight is None else weight * (var + eps).rsqrt()
        shift = -mean * scale if bias is None else bias - mean * scale
        offset = shift if self.bias is None else shift + self.bias * scale
        return replace(self, weight=self.weight * scale.view(-1, *[1] * (self.weight.ndim - 1)), bias=offset, packed={})

    def then(self, after: After) -> Convolution:
        """This and then an activation; the weights stay as they are."""
        return replace(self, after=after)


def padded(maps: Tensor, sides: Sides, value: float = 0.0) -> Tensor:
    """Maps with so much of one value around them; negative sides cut off."""
    return F.pad(maps, [places for side in reversed(sides) for places in side], value=value)


def after(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], function: Callable[[Tensor], Tensor]
) -> After | None:
    """The activation that a call of torch's function `name` is, None if it does not go along with a convolution."""
    numbers: tuple[Any, ...] | None = None
    if name == "relu":
        numbers = ()
    elif name == "relu6":
        name, numbers = "hardtanh", (0.0, 6.0)
    elif name == "hardtanh":
        given = dict(zip(("min_val", "max_val"), args, strict=False)) | kwargs
        numbers = (given.get("min_val", -1.0), given.get("max_val", 1.0))
    elif name == "leaky_relu":
        numbers = (args[0] if args else kwargs.get("negative_slope", 0.01),)
    elif name == "silu":
        name, numbers = "swish", ()
    elif name == "hardswish":
        numbers = ()
    if numbers is None or not all(isinstance(n, (int, float)) for n in numbers):
        return None
    return After(name, tuple(float(n) for n in numbers), function)
