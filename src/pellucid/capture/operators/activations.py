"""Activations, softmax and dropout."""

from functools import partial

import torch
from torch.nn import functional as F

from pellucid.capture.operators.vocabulary import operator, signature

_kind = partial(operator, kind="activations")
_activation = partial(_kind, traits="elementwise, activation")
_PLAIN = "input inplace=False"

RELU = _activation("relu", "relu relu_", bind=_PLAIN)
RELU6 = _activation("relu6", "relu6 relu6_", aten="hardtanh", bind=_PLAIN)
HARDTANH = _activation("hardtanh", "hardtanh hardtanh_", bind="input min_val=-1.0 max_val=1.0 inplace=False")
THRESHOLD = _activation("threshold", "threshold threshold_", bind="input threshold value inplace=False")
LEAKY_RELU = _activation("leaky_relu", "leaky_relu leaky_relu_", bind="input negative_slope=0.01 inplace=False")
PRELU = _activation("prelu", aten="_prelu_kernel", bind="input weight")
RRELU = _activation(
    "rrelu", "rrelu rrelu_", aten="rrelu_with_noise",
    bind=signature(
        f"input lower={1 / 8} upper={1 / 3} training=False inplace=False",
        dict.fromkeys((torch.rrelu, torch.rrelu_), signature(f"input lower={1 / 8} upper={1 / 3} training=False")),
    ),
    traits="elementwise, activation, random",
)  # fmt: skip
ELU = _activation("elu", "elu elu_", bind="input alpha=1.0 inplace=False")
SELU = _activation("selu", "selu selu_", aten="elu", bind=_PLAIN)
CELU = _activation("celu", "celu celu_", bind="input alpha=1.0 inplace=False")
GELU = _activation("gelu", "gelu gelu_", bind="input approximate='none'")
SILU = _activation("silu", "silu silu_", bind=_PLAIN)
MISH = _activation("mish", "mish mish_", bind=_PLAIN)
SIGMOID = _activation("sigmoid", "sigmoid sigmoid_ expit", traits="elementwise, activation, squashing")
HARDSIGMOID = _activation(
    "hardsigmoid", "hardsigmoid hardsigmoid_", bind=_PLAIN, traits="elementwise, activation, squashing"
)
LOGSIGMOID = _activation("logsigmoid", aten="log_sigmoid_forward", node="logsigmoid")
TANH = _activation("tanh", "tanh tanh_")
HARDSWISH = _activation("hardswish", "hardswish hardswish_", bind=_PLAIN)
SOFTPLUS = _activation("softplus", bind="input beta=1 threshold=20")
SOFTSIGN = _activation("softsign", aten="", traits="elementwise, activation, composite")
HARDSHRINK = _activation("hardshrink", bind="input lambd=0.5")
SOFTSHRINK = _activation("softshrink", bind="input lambd=0.5")
TANHSHRINK = _activation("tanhshrink", aten="", traits="elementwise, activation, composite")
GLU = _kind("glu", bind="input dim=-1", traits="activation")

_AXIS = {
    F.softmax: signature("input dim=None _stacklevel=3 dtype=None"),
    F.log_softmax: signature("input dim=None _stacklevel=3 dtype=None"),
}
SOFTMAX = _kind("softmax", aten="_softmax _safe_softmax", node="softmax", bind=signature("input dim dtype=None", _AXIS))
LOG_SOFTMAX = _kind("log_softmax", aten="_log_softmax", bind=signature("input dim dtype=None", _AXIS))
SOFTMIN = _kind("softmin", aten="", bind="input dim=None _stacklevel=3 dtype=None", traits="composite")

DROPOUT = _kind(
    "dropout", "dropout dropout_ dropout1d dropout2d dropout3d feature_dropout feature_dropout_",
    aten="dropout native_dropout", node="nativedropout",
    bind=signature(
        "input p=0.5 training=True inplace=False",
        dict.fromkeys(
            (torch.dropout, torch.dropout_, torch.feature_dropout, torch.feature_dropout_), signature("input p train")
        ),
    ),
    traits="random, composite",
)  # fmt: skip
ALPHA_DROPOUT = _kind(
    "alpha_dropout", "alpha_dropout alpha_dropout_ feature_alpha_dropout feature_alpha_dropout_", aten="",
    bind=signature(
        "input p=0.5 training=False inplace=False",
        dict.fromkeys(
            (torch.alpha_dropout, torch.alpha_dropout_, torch.feature_alpha_dropout, torch.feature_alpha_dropout_),
            signature("input p train"),
        ),
    ),
    traits="random, composite",
)  # fmt: skip
