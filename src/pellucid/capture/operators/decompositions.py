"""Composite operations that torch hides from a rewriting, computed step by step so that it sees what they do."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.operators.attention import MULTI_HEAD_ATTENTION
from pellucid.capture.operators.calls import Call
from pellucid.capture.operators.moving import PAD
from pellucid.capture.operators.vocabulary import called

COMPOSITE = frozenset({MULTI_HEAD_ATTENTION})
"""Operators written in Python that hand themselves to a `TorchFunctionMode` whole."""
IN_PARTS = COMPOSITE | {PAD}
"""Operators whose parts torch may hide, see `in_parts`."""

_ASKING = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


@cache
def stepwise(function: FunctionType) -> Callable[..., Any]:
    """The same code, except that it never asks whether a mode wants the whole of it: its parts go there one by one."""
    open_ = {**function.__globals__, **dict.fromkeys(_ASKING, lambda *_: False)}
    copy = FunctionType(function.__code__, open_, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def in_parts(call: Call) -> Any:
    """What a call of one of `IN_PARTS` gives, computed part by part; None where torch shows its parts."""
    func, args, kwargs = call
    return stepwise(func)(*args, **kwargs) if called(func) in COMPOSITE else _padded_around(call)


def _padded_around(call: Call) -> Tensor | None:
    """What `F.pad` gives in circular mode, by picking places along each axis; None in other modes.

    Torch writes the pieces into parts of an empty tensor, where no rule sees whose values they are.
    """
    named = PAD.bind(call[1], call[2], call[0])
    if named.get("mode") != "circular":
        return None
    x, sides = named["input"], named["pad"]
    for number, (before, after) in enumerate(zip(sides[::2], sides[1::2], strict=True)):
        axis = x.ndim - 1 - number
        places = torch.arange(-before, x.shape[axis] + after, device=x.device) % x.shape[axis]
        x = x.index_select(axis, places)
    result: Tensor = x
    return result


def attention_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,  # noqa: ARG001 - the arguments of torch's own function
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001 - never drops anything in evaluation mode
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """What `F.scaled_dot_product_attention` multiplies the values with, `[..., query, key]`."""
    if enable_gqa:
        key = for_every_head(key, query)
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores + torch.zeros_like(attn_mask, dtype=scores.dtype).masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1)


def attend(weights: Tensor, value: Tensor) -> Tensor:
    """The means of the values with these weights; several heads may share their values."""
    return weights @ for_every_head(value, weights)


def for_every_head(shared: Tensor, like: Tensor) -> Tensor:
    """Keys or values `[..., head, token, feature]` repeated for as many heads as `like` has."""
    if like.ndim < 3 or shared.shape[-3] == like.shape[-3]:
        return shared
    return shared.repeat_interleave(like.shape[-3] // shared.shape[-3], -3)
