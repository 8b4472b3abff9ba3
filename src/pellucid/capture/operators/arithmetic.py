"""Arithmetic: functions of one value, and sums, products and quotients of two."""

from functools import partial

import torch
from torch import Tensor

from pellucid.capture.operators.vocabulary import Operator, operator

_kind = partial(operator, kind="arithmetic")


def _function(name: str, *more: str, aten: str = "", node: str | None = None, traits: str = "elementwise") -> Operator:
    """A function of each value, which may be written over it."""
    names = " ".join(f"{each} {each}_" for each in (name, *more))
    dunder = f"__{name}__" if name in ("abs", "neg") else ""
    return _kind(name, f"{names} {dunder}", aten=aten or name, node=node, traits=traits)


ABS = _function("abs", "absolute")
NEG = _function("neg", "negative", traits="elementwise, linear")
EXP = _function("exp")
EXP2 = _function("exp2")
EXPM1 = _function("expm1")
LOG = _function("log")
LOG10 = _function("log10")
LOG1P = _function("log1p")
LOG2 = _function("log2")
SQRT = _function("sqrt")
RSQRT = _function("rsqrt")
SQUARE = _function("square", aten="pow", node="pow")
RECIPROCAL = _function("reciprocal")
SIN = _function("sin")
COS = _function("cos")
TAN = _function("tan")
ASIN = _function("asin", "arcsin")
ACOS = _function("acos", "arccos")
ATAN = _function("atan", "arctan")
SINH = _function("sinh")
COSH = _function("cosh")
ASINH = _function("asinh", "arcsinh")
ACOSH = _function("acosh", "arccosh")
ATANH = _function("atanh", "arctanh")
ERF = _function("erf")
ERFC = _function("erfc")
SINC = _function("sinc")
SIGN = _function("sign")
SGN = _function("sgn")
ROUND = _function("round")
FLOOR = _function("floor")
CEIL = _function("ceil")
TRUNC = _function("trunc", "fix")
FRAC = _function("frac")
NAN_TO_NUM = _function("nan_to_num")

_ENDS = "input min=None max=None"
CLAMP = _kind("clamp", "clamp clamp_ clip clip_", bind=_ENDS, traits="elementwise")
CLAMP_MIN = _kind("clamp_min", "clamp_min clamp_min_", aten="clamp_min", bind="input min", traits="elementwise")
CLAMP_MAX = _kind("clamp_max", "clamp_max clamp_max_", aten="clamp_max", bind="input max", traits="elementwise")

_TWO = "input other alpha=1"
ADD = _kind("add", "add add_ __add__ __radd__ __iadd__", bind=_TWO, traits="summing, weighted")
SUB = _kind("sub", "sub sub_ subtract subtract_ __sub__ __isub__", bind=_TWO, traits="summing, weighted")
RSUB = _kind("rsub", "rsub __rsub__", bind=_TWO, traits="summing, weighted")
MUL = _kind(
    "mul", "mul mul_ multiply multiply_ __mul__ __rmul__ __imul__", aten="mul", bind="input other", traits="linear"
)
DIV = _kind(
    "div", "div div_ divide divide_ true_divide true_divide_ __truediv__ __itruediv__ __div__ __idiv__",
    bind="input other rounding_mode=None", traits="linear, linear in the first",
)  # fmt: skip
RDIV = _kind("rdiv", "__rtruediv__ __rdiv__", aten="reciprocal mul", bind="input other")
POW = _kind("pow", "pow pow_ __pow__ __ipow__", bind="input exponent")
RPOW = _kind("rpow", "__rpow__", aten="pow", bind="input base")
FLOAT_POW = _kind("float_power", "float_power float_power_", aten="pow", bind="input exponent")
ATAN2 = _kind("atan2", "atan2 atan2_ arctan2 arctan2_", bind="input other")
HYPOT = _kind("hypot", "hypot hypot_", bind="input other")
REMAINDER = _kind("remainder", "remainder remainder_ __mod__ __imod__", bind="input other")
FMOD = _kind("fmod", "fmod fmod_", bind="input other")
FLOOR_DIVIDE = _kind(
    "floor_divide", "floor_divide floor_divide_ __floordiv__ __ifloordiv__", aten="floor_divide", node="",
    bind="input other", traits="constant",
)  # fmt: skip
ADDCMUL = _kind("addcmul", "addcmul addcmul_", bind="input tensor1 tensor2 value=1")
ADDCDIV = _kind("addcdiv", "addcdiv addcdiv_", bind="input tensor1 tensor2 value=1")
LERP = _kind("lerp", "lerp lerp_", bind="input end weight")
MAXIMUM = _kind("maximum", bind="input other", traits="choosing")
MINIMUM = _kind("minimum", bind="input other", traits="choosing")
FMAX = _kind("fmax", bind="input other")
FMIN = _kind("fmin", bind="input other")
COMPARISON = _kind(
    "comparison", "eq ne lt le gt ge logical_not logical_and logical_or",
    aten="eq ne lt le gt ge logical_not logical_and logical_or", node="", bind="input other=None", traits="constant",
    also=frozenset({Tensor.__eq__, Tensor.__ne__, Tensor.__lt__, Tensor.__le__, Tensor.__gt__, Tensor.__ge__}),
)  # fmt: skip
FFT = _kind(
    "fft", "", aten="_fft_c2c _fft_c2r _fft_r2c", node="fftc2c fftc2r fftr2c",
    also=frozenset({
        torch.fft.fft, torch.fft.ifft, torch.fft.fft2, torch.fft.ifft2, torch.fft.fftn, torch.fft.ifftn,
        torch.fft.rfft, torch.fft.irfft, torch.fft.rfft2, torch.fft.irfft2, torch.fft.rfftn, torch.fft.irfftn,
    }),
)  # fmt: skip
