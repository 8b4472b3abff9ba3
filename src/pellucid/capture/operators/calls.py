"""Recognising operations by the function that computes them, and saying what is linear about a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.operators.binding import bind, depends
from pellucid.capture.operators.linear import Affine
from pellucid.capture.operators.vocabulary import functions

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]
Product = tuple[Tensor, Tensor, Callable[[Tensor, Tensor], Tensor]]
"""Two factors, and the product as a function of them."""

_PLAIN = functions("linear", "conv1d", "conv2d", "conv3d")
LINEAR = _PLAIN | functions("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
MATRIX_PRODUCTS = functions("matmul", "mm", "bmm", "__matmul__", "__rmatmul__") | {torch.einsum}
POOLING = functions(
    "mean", "sum", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "interpolate",
)  # fmt: skip
NORMALISING = frozenset({F.batch_norm, torch.batch_norm})
_ADD = functions("add", "add_", "__add__", "__radd__", "__iadd__")
_SUBTRACT = functions("sub", "sub_", "subtract", "__sub__", "__isub__")
_SUBTRACT_FROM = functions("rsub", "__rsub__")
ADDING = _ADD | _SUBTRACT | _SUBTRACT_FROM
_TIMES = functions("mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__")
_OVER = functions("div", "div_", "divide", "true_divide", "__truediv__", "__itruediv__")
_UNDER = functions("__rtruediv__", "__rdiv__")
_NEGATIVE = functions("neg", "neg_", "negative", "__neg__")
FACTORS = _TIMES | _OVER | _UNDER | _NEGATIVE
_ACTIVATIONS = """
    celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish prelu relu6 rrelu selu sigmoid
    silu softplus softshrink softsign tanh tanhshrink threshold
"""
_FUNCTIONS = """
    abs acos asin asinh atan clamp clamp_max clamp_min clip cos cosh erf exp exp2 expm1 log log10 log1p log2 reciprocal
    rsqrt sin sinh sqrt square
"""
ACTIVATIONS = functions(*(name + end for name in _ACTIVATIONS.split() for end in ("", "_")))
ELEMENTWISE = ACTIVATIONS | functions(
    *(name + end for name in _FUNCTIONS.split() for end in ("", "_")), "pow", "pow_", "__pow__"
)
SOFTMAX = functions("softmax", "log_softmax") | {torch.special.softmax, torch.special.log_softmax}
SQUASHING = functions("hardsigmoid", "hardsigmoid_", "sigmoid", "sigmoid_")


def weighted(call: Call) -> tuple[Tensor, Affine] | None:
    """Input and operation of a dense layer or convolution whose weights are constants."""
    func, args, kwargs = call
    values = [*args[:3], *(kwargs.get(name) for name in ("input", "weight", "bias")[len(args) :])]
    x, weight, bias = values
    if not depends(x) or depends(weight) or depends(bias):
        return None
    more, named = args[3:], {k: v for k, v in kwargs.items() if k not in ("input", "weight", "bias")}

    def apply(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        y: Tensor = func(x, weight, bias, *more, **named)
        return y

    kind = "dense" if func is F.linear else "convolution"
    offset = None if bias is None else bias.detach()
    return x, Affine(apply, weight.detach(), offset, kind, foldable=func in _PLAIN)


def factors(call: Call) -> Product | None:
    """Both operands of a matrix product, and the product as a function of them."""
    func, args, kwargs = call
    if func is torch.einsum:
        equation, *given = args
        operands = given[0] if len(given) == 1 and isinstance(given[0], (list, tuple)) else given
        if len(operands) != 2 or not isinstance(equation, str):
            return None
        return operands[0], operands[1], lambda a, b: torch.einsum(equation, a, b)
    if len(args) != 2 or kwargs:
        return None
    left, right = (args[1], args[0]) if func is Tensor.__rmatmul__ else args
    return left, right, torch.matmul


def matrix_product(call: Call) -> tuple[Tensor, Affine] | None:
    """Input and operation of a product with a constant matrix, from either side."""
    found = factors(call)
    if found is None or depends(found[0]) == depends(found[1]):
        return None
    return held(*found, side=int(depends(found[0])), kind="dense")


def held(
    a: Tensor, b: Tensor, product: Callable[[Tensor, Tensor], Tensor], *, side: int, kind: str
) -> tuple[Tensor, Affine]:
    """A product of two values as an operation on one of them, the other one (`side` 0 or 1) held constant."""
    if side == 0:
        return b, Affine(lambda x, weight, _: product(_present(weight), x), a.detach(), kind=kind)
    return a, Affine(lambda x, weight, _: product(x, _present(weight)), b.detach(), kind=kind)


def _present(weight: Tensor | None) -> Tensor:
    if weight is None:
        raise TypeError("this operation needs its weight")
    return weight


def product_of_two(call: Call) -> Product | None:
    """The factors of an elementwise or matrix product that both depend on the picture, and the product."""
    func, args, kwargs = call
    if func in MATRIX_PRODUCTS:
        found = factors(call)
    else:
        found = (args[0], args[1], torch.mul) if func in _TIMES and len(args) == 2 and not kwargs else None
    return found if found and depends(found[0]) and depends(found[1]) else None


def quotient(call: Call) -> tuple[Any, Tensor] | None:
    """Numerator and denominator of an elementwise quotient whose denominator depends on the picture."""
    func, args, kwargs = call
    if len(args) != 2 or kwargs or func not in _OVER | _UNDER:
        return None
    above, below = args if func in _OVER else args[::-1]
    return (above, below) if depends(below) else None


def softmax_of(call: Call) -> tuple[Tensor, int, torch.dtype | None, bool] | None:
    """Input, axis and number type of a softmax, and whether its logarithm is wanted."""
    func, args, kwargs = call
    names: list[tuple[str, Any]] = [("input", None), ("dim", None)]
    names += [("_stacklevel", 3), ("dtype", None)] if func in (F.softmax, F.log_softmax) else [("dtype", None)]
    x, dim, *_, dtype = bind(args, kwargs, *names)
    return None if not isinstance(dim, int) else (x, dim, dtype, "log" in func.__name__)


def pooled(call: Call) -> tuple[Tensor, Affine] | None:
    """Input and operation of a mean, a sum or a resizing."""
    func, args, kwargs = call
    x, more, named = _first_argument(args, kwargs)
    if not depends(x) or "out" in named:
        return None
    return x, Affine(lambda x, *_: func(x, *more, **named))


def _first_argument(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    if args:
        return args[0], args[1:], kwargs
    return kwargs.get("input"), (), {name: value for name, value in kwargs.items() if name != "input"}


def constant_batch_norm(call: Call) -> tuple[Tensor, Tensor, Tensor] | None:
    """Input, scale and shift `[channel]` of a batch norm that uses its running statistics."""
    func, args, kwargs = call
    if func is not F.batch_norm:
        return None
    x, mean, variance, weight, bias, training, _, eps = bind(
        args, kwargs, ("input", None), ("running_mean", None), ("running_var", None), ("weight", None), ("bias", None),
        ("training", False), ("momentum", 0.1), ("eps", 1e-5),
    )  # fmt: skip
    if training or not depends(x) or mean is None or any(depends(t) for t in (mean, variance, weight, bias)):
        return None
    scale = (variance.detach() + eps).rsqrt()
    if weight is not None:
        scale = scale * weight.detach()
    shift = -mean.detach() * scale
    return x, scale, shift if bias is None else shift + bias.detach()


def scaling(scale: Tensor, shift: Tensor, axes: int) -> Affine:
    """Per channel y = x * scale + shift, as an operation on tensors with that many axes."""

    def apply(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        y = x if weight is None else x * weight
        return y if bias is None else y + bias

    shape = (-1, *[1] * (axes - 2))
    return Affine(apply, scale.reshape(shape), shift.reshape(shape), kind="normalisation")


def summands(call: Call) -> tuple[Any, Any] | None:
    """The two values, signs included, whose sum a call gives; at least one depends on the picture."""
    func, args, kwargs = call
    if len(args) != 2 or not set(kwargs) <= {"alpha"} or not any(map(depends, args)):
        return None
    alpha = kwargs.get("alpha", 1)
    a, b = (t.detach() if isinstance(t, Tensor) else t for t in args)
    if func in _SUBTRACT_FROM:
        return -a * alpha, b
    return a, b * (-alpha if func in _SUBTRACT else alpha)


def factor(call: Call) -> tuple[Tensor, Any] | None:
    """The value that depends on the picture and the constant that it is multiplied with or divided by."""
    func, args, kwargs = call
    if kwargs or not 1 <= len(args) <= 2 or [depends(t) for t in args].count(True) != 1 or func in _UNDER:
        return None
    if func in _NEGATIVE:
        return args[0], 1
    if depends(args[0]):
        return args[0], 1 if func in _OVER else args[1]
    return None if func in _OVER or writes(call) else (args[1], args[0])


def writes(call: Call) -> bool:
    """Whether a product or quotient is written into its first operand."""
    return call[0].__name__ in ("div_", "mul_", "__imul__", "__itruediv__")
