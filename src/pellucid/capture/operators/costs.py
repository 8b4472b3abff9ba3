"""Multiply-adds of single operations: one multiplication together with one addition counts once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]


def multiply_adds(func: Any, named: Mapping[str, Any], outputs: Sequence[Shape]) -> int | None:
    """What an operation costs; biases, norms, activations and pooling count nothing, as is usual.

    Args:
        func: torch's operation.
        named: its arguments by their names in torch's schema.
        outputs: shapes of its results.

    Returns:
        None for operations that multiply inside and have no rule here.
    """
    name = func._schema.name.removeprefix("aten::").rstrip("_")
    rule = _RULES.get(name)
    if rule is not None:
        return rule(named, outputs)
    return None if name in _OPAQUE else 0


def _convolution(named: Mapping[str, Any], outputs: Sequence[Shape]) -> int:
    """Every weight is used once per sample and position: of the output, or of the input if transposed."""
    positions = named["input"].shape if named.get("transposed") else outputs[0]
    return int(positions[0] * math.prod(positions[2:]) * math.prod(named["weight"].shape))


def _product(left: str, right: str) -> Callable[[Mapping[str, Any], Sequence[Shape]], int]:
    def rule(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
        return int(math.prod(named[left].shape) * named[right].shape[-1])

    return rule


def _every_number(name: str) -> Callable[[Mapping[str, Any], Sequence[Shape]], int]:
    """A product with a vector, or of two: every number of the argument is used once."""

    def rule(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
        return int(math.prod(named[name].shape))

    return rule


def _outer(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
    return int(math.prod(named["vec1"].shape) * math.prod(named["vec2"].shape))


def _summed_products(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
    return int(math.prod(named["batch1"].shape) * named["batch2"].shape[-1])


def _bilinear(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
    """`nn.Bilinear`: every weight is used once per sample."""
    return int(math.prod(named["i1"].shape[:-1]) * math.prod(named["i2"].shape))


def _recurrent(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
    """One layer of an LSTM, one way: every weight is used once per sample and step, at the first step too."""
    weights = math.prod(named["weight0"].shape) + math.prod(named["weight1"].shape)
    return int(math.prod(named["input"].shape[:-1]) * weights)


def _attention(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
    """Queries times keys, and what they weigh times values."""
    *batch, length, width = named["query"].shape
    keys, values = named["key"].shape[-2], named["value"].shape[-1]
    return int(math.prod(batch) * length * keys * (width + values))


_RULES: dict[str, Callable[[Mapping[str, Any], Sequence[Shape]], int]] = {
    **dict.fromkeys(("convolution", "_convolution", "cudnn_convolution", "convolution_overrideable"), _convolution),
    "mm": _product("self", "mat2"),
    "bmm": _product("self", "mat2"),
    "addmm": _product("mat1", "mat2"),
    "baddbmm": _product("batch1", "batch2"),
    "addbmm": _summed_products,
    "_int_mm": _product("self", "mat2"),
    "mv": _every_number("self"),
    "addmv": _every_number("mat"),
    **dict.fromkeys(("dot", "vdot"), _every_number("self")),
    "addr": _outer,
    "_trilinear": _bilinear,
    "mkldnn_rnn_layer": _recurrent,
    **dict.fromkeys(
        (
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_cudnn_attention",
        ),
        _attention,
    ),
}
_OPAQUE = frozenset(
    """
    _cdist_forward _cudnn_rnn _fft_c2c _fft_c2r _fft_r2c _native_multi_head_attention _scaled_mm
    _transformer_encoder_layer_fwd cudnn_rnn gru lstm quantized_gru quantized_lstm rnn_relu rnn_tanh slow_conv3d
    slow_conv_transpose2d
    """.split()  # noqa: SIM905
)
