"""Attention, recognised by the operations that compute it, whoever calls them and from whichever module.

    F.scaled_dot_product_attention    computed here in steps, A = softmax(s q k^T + mask) and A v, as the fused kernels
                                      never form the matrix
    F.multi_head_attention_forward    run as it is written, which comes to one of the other two
    softmax(...) @ v                  as it stands

A pass that computes fused attention in steps gives the same numbers but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pellucid.capture.operators import COMPOSITE, MATRIX_PRODUCTS, attend, attention_weights, called, op, stepwise
from pellucid.numerics import full_precision


class Attending(TorchFunctionMode):
    """For the length of one forward pass computes fused attention in steps and numbers every softmax from 0.

    What is a softmax over classes and what is attention, `capture/attention/layout.py` finds out; the number tells a
    later pass which is which.

    Attributes:
        leaves: where graphs begin, one for each number of which `begins` said so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.leaves: list[Tensor] = []

    def begins(self, number: int) -> bool:  # noqa: ARG002
        """Whether a graph shall begin in the input of this operation."""
        return False

    def weights(self, number: int, weights: Tensor, edge: GradientEdge | None) -> None:
        """Called with every softmax `[..., query, key]` and the edge of the graph that its gradient flows to."""

    def product(self, call: tuple[Any, tuple[Any, ...], dict[str, Any]], result: Tensor) -> None:
        """Called with every matrix product."""

    def fused(self, number: int, values: Tensor, result: Tensor) -> None:
        """Called with every fused attention after its `weights`: the values `[..., key, feature]` and the result."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        operator = called(func)
        if operator in COMPOSITE:
            with self:
                return stepwise(func)(*args, **kwargs)
        if operator is op.FUSED_ATTENTION:
            return self._scaled_dot_product(*args, **kwargs)
        if operator is op.SOFTMAX and args:
            return self._softmax(func, *args, **kwargs)
        result = func(*args, **kwargs)
        if operator in MATRIX_PRODUCTS:
            self.product((func, args, kwargs), result)
        return result

    def _number(self, given: Tensor) -> tuple[int, Tensor]:
        """The number of this operation and its input, or a leaf in its place where a graph shall begin."""
        number, self.count = self.count, self.count + 1
        if self.begins(number):
            torch.set_grad_enabled(True)  # the caller of the pass restores it
            given = given.detach().requires_grad_()
            self.leaves.append(given)
        return number, given

    def _softmax(self, func: Callable[..., Any], given: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        number, given = self._number(given)
        weights: Tensor = func(given, *args, **kwargs)
        self.weights(number, weights, get_gradient_edge(weights) if weights.requires_grad else None)
        return weights

    def _scaled_dot_product(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        *rest: Any,
        **more: Any,
    ) -> Tensor:
        if dropout_p:  # no matrix stands for what is drawn anew
            return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, *rest, **more)
        number, query = self._number(query)
        # half precision is computed in float32, as the kernels do
        weights = attention_weights(full_precision(query), full_precision(key), value, attn_mask, 0.0, *rest, **more)
        self.weights(number, weights, get_gradient_edge(weights) if weights.requires_grad else None)
        result = attend(weights, full_precision(value)).to(query.dtype)
        self.fused(number, value, result)
        return result
