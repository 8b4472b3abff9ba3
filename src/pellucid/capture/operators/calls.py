"""Recognising operations by the function that computes them, and saying what is linear about a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pellucid.capture.operators import families as op
from pellucid.capture.operators.binding import depends
from pellucid.capture.operators.linear import Affine
from pellucid.capture.operators.vocabulary import called, of

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]
Product = tuple[Tensor, Tensor, Callable[[Tensor, Tensor], Tensor]]
"""Two factors, and the product as a function of them."""

WITH_WEIGHTS = frozenset({op.LINEAR, op.CONVOLUTION, op.TRANSPOSED_CONVOLUTION})
MATRIX_PRODUCTS = frozenset({op.MATMUL, op.EINSUM})
MEANS = frozenset({op.MEAN, op.SUM, op.AVG_POOL, op.ADAPTIVE_AVG_POOL, op.INTERPOLATE})
ADDING = frozenset({op.ADD, op.SUB, op.RSUB})
FACTORS = frozenset({op.MUL, op.DIV, op.RDIV, op.NEG})
ACTIVATIONS = frozenset(of("activation")) - {op.GLU}
"""Activations of one value each."""
ABSENT = frozenset({op.DROPOUT, op.ALPHA_DROPOUT})
"""What does nothing outside of training."""
STEPPED = frozenset({op.SIGN, op.SGN, op.ROUND, op.FLOOR, op.CEIL, op.TRUNC, op.FRAC})
"""Functions of one value whose slope says nothing about them."""


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

    kind = "dense" if called(func) is op.LINEAR else "convolution"
    offset = None if bias is None else bias.detach()
    return x, Affine(apply, weight.detach(), offset, kind, foldable=called(func) is not op.TRANSPOSED_CONVOLUTION)


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
    if called(func) in MATRIX_PRODUCTS:
        found = factors(call)
    else:
        found = (args[0], args[1], torch.mul) if called(func) is op.MUL and len(args) == 2 and not kwargs else None
    return found if found and depends(found[0]) and depends(found[1]) else None


def quotient(call: Call) -> tuple[Any, Tensor] | None:
    """Numerator and denominator of an elementwise quotient whose denominator depends on the picture."""
    func, args, kwargs = call
    operator = called(func)
    if len(args) != 2 or kwargs or operator not in (op.DIV, op.RDIV):
        return None
    above, below = args if operator is op.DIV else args[::-1]
    return (above, below) if depends(below) else None


def softmax_of(call: Call) -> tuple[Tensor, int, torch.dtype | None, bool] | None:
    """Input, axis and number type of a softmax, and whether its logarithm is wanted."""
    func, args, kwargs = call
    operator = called(func)
    if operator is None:
        return None
    named = operator.bind(args, kwargs, func)
    x, dim, dtype = named["input"], named["dim"], named["dtype"]
    return None if not isinstance(dim, int) else (x, dim, dtype, operator is op.LOG_SOFTMAX)


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
    named = op.BATCH_NORM.bind(args, kwargs, func)
    x, mean, variance, weight, bias = (
        named[name] for name in ("input", "running_mean", "running_var", "weight", "bias")
    )
    training, eps = named["training"], named["eps"]
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
    operator = called(func)
    if operator is op.RSUB:
        return -a * alpha, b
    return a, b * (-alpha if operator is op.SUB else alpha)


def factor(call: Call) -> tuple[Tensor, Any] | None:
    """The value that depends on the picture and the constant that it is multiplied with or divided by."""
    func, args, kwargs = call
    operator = called(func)
    if kwargs or not 1 <= len(args) <= 2 or [depends(t) for t in args].count(True) != 1 or operator is op.RDIV:
        return None
    if operator is op.NEG:
        return args[0], 1
    if depends(args[0]):
        return args[0], 1 if operator is op.DIV else args[1]
    return None if operator is op.DIV or writes(call) else (args[1], args[0])


def writes(call: Call) -> bool:
    """Whether a product or quotient is written into its first operand."""
    name = call[0].__name__
    return name.startswith("__i") or (name.endswith("_") and not name.endswith("__"))
