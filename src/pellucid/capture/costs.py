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
    name = func._schema.name.removeprefix("aten::")
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
    _cdist_forward _fft_c2c _fft_c2r _fft_r2c _native_multi_head_attention _thnn_fused_gru_cell _thnn_fused_lstm_cell
    _transformer_encoder_layer_fwd _trilinear addbmm addmv addr cudnn_rnn _cudnn_rnn dot gru lstm mkldnn_rnn_layer mv
    quantized_gru quantized_lstm rnn_relu rnn_tanh slow_conv3d slow_conv_transpose2d vdot
    """.split()  # noqa: SIM905
)
