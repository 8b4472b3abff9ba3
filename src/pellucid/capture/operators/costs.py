"""Multiply-adds of single operations: one multiplication together with one addition counts once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pellucid.capture.operators import families as op
from pellucid.capture.operators.vocabulary import Operator, computed_by, declined, of

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
    operator = computed_by(func._schema.name.removeprefix("aten::"))
    if operator is None:
        return 0
    return None if operator in DECLINED else RULES[operator](named, outputs)


def _convolution(named: Mapping[str, Any], outputs: Sequence[Shape]) -> int:
    """Every weight is used once per sample and position: of the output, or of the input if transposed."""
    positions = named["input"].shape if named.get("transposed") else outputs[0]
    return int(positions[0] * math.prod(positions[2:]) * math.prod(named["weight"].shape))


def _product(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
    """Every number of the left operand meets every column of the right one; a vector is one column."""
    left, right = next(pair for pair in _OPERANDS if set(pair) <= set(named))
    columns = named[right].shape[-1] if named[right].ndim > 1 else 1
    if right == "weight":  # of a dense layer, which is turned
        columns = len(named[right])
    return int(math.prod(named[left].shape) * columns)


_OPERANDS = (
    ("mat1", "mat2"), ("batch1", "batch2"), ("mat", "vec"), ("self", "mat2"), ("self", "vec"), ("self", "tensor"),
    ("self", "other"), ("input", "weight"),
)  # fmt: skip
"""Names of both factors, by operation; what is added comes first where a name is in two rows."""


def _outer(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
    return int(math.prod(named["vec1"].shape) * math.prod(named["vec2"].shape))


def _bilinear(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
    """`nn.Bilinear`: every weight is used once per sample."""
    return int(math.prod(named["i1"].shape[:-1]) * math.prod(named["i2"].shape))


def _recurrent(named: Mapping[str, Any], _: Sequence[Shape]) -> int | None:
    """One layer of an LSTM, one way: every weight is used once per sample and step, at the first step too.

    None for kernels that take the whole stack of layers at once.
    """
    if "weight0" not in named:
        return None
    weights = math.prod(named["weight0"].shape) + math.prod(named["weight1"].shape)
    return int(math.prod(named["input"].shape[:-1]) * weights)


def _attention(named: Mapping[str, Any], _: Sequence[Shape]) -> int:
    """Queries times keys, and what they weigh times values."""
    *batch, length, width = named["query"].shape
    keys, values = named["key"].shape[-2], named["value"].shape[-1]
    return int(math.prod(batch) * length * keys * (width + values))


def _nothing(_: Mapping[str, Any], __: Sequence[Shape]) -> int:
    return 0


CostRule = Callable[[Mapping[str, Any], Sequence[Shape]], "int | None"]
RULES: dict[Operator, CostRule] = {
    **dict.fromkeys(
        of(kinds=("activations", "arithmetic", "moving", "norms", "pooling", "reductions", "recurrent")), _nothing
    ),
    **dict.fromkeys((op.CONVOLUTION, op.TRANSPOSED_CONVOLUTION), _convolution),
    **dict.fromkeys(
        (
            op.MATMUL, op.LINEAR, op.SHORT_MATMUL, op.EINSUM, op.ADDMM, op.ADDMV, op.BADDBMM, op.ADDBMM, op.DOT,
            op.TENSORDOT,
        ),
        _product,
    ),
    op.ADDR: _outer,
    op.OUTER: _nothing,
    op.BILINEAR: _bilinear,
    op.LSTM: _recurrent,
    op.FUSED_ATTENTION: _attention,
}  # fmt: skip
"""By operator; norms, activations, pooling and what moves values count nothing. Operators of Python alone count as the
operations that they are made of."""
DECLINED: dict[Operator, str] = {
    **declined("multiplies inside, out of sight", op.GRU, op.RNN, op.NATIVE_ATTENTION, op.FFT, op.CDIST),
    **declined("scales inside, in short numbers", op.SCALED_MATMUL),
    **declined("a kernel of other processors with other arguments", op.SLOW_CONVOLUTION),
}
