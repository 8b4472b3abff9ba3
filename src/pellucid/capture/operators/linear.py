"""Linear operations as values: what computes them, their weight and their bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Affine:
    """An operation of the form y = L(x; weight) + bias.

    Attributes:
        call: computes it from x, weight and bias; linear in x, and in weight and bias together.
        weight, bias: None when it has none.
        kind: `dense`, `convolution`, `normalisation` (one weight per channel), `sample-normalisation` (layer norm and
            its kin), `pooling` (no weights: all means, sums and resizing) or `attention` (a mean with weights that were
            computed).
        rule: name of the rule that was asked for in the layer that it is part of; empty leaves it to the composite.
        foldable: whether the weight's first axis is the channel axis of the output, axis 1.
    """

    call: Callable[[Tensor, Tensor | None, Tensor | None], Tensor]
    weight: Tensor | None = None
    bias: Tensor | None = None
    kind: str = "pooling"
    foldable: bool = False
    rule: str = ""

    def to(self, dtype: torch.dtype) -> Affine:
        """The same in another number type."""
        weight, bias = (None if t is None else t.to(dtype) for t in (self.weight, self.bias))
        return replace(self, weight=weight, bias=bias)

    @property
    def kernel(self) -> Tensor:
        """The weight.

        Raises:
            TypeError: the operation has none, as pooling.
        """
        if self.weight is None:
            raise TypeError("this operation has no weight, so a rule about weights does not apply to it")
        return self.weight

    def fold(self, scale: Tensor, shift: Tensor) -> Affine:
        """This operation and then `y * scale + shift`, both `[channel]`, as one operation with weights of its own."""
        weight = self.kernel * scale.reshape(-1, *[1] * (self.kernel.ndim - 1))
        return replace(self, weight=weight, bias=shift if self.bias is None else self.bias * scale + shift)
