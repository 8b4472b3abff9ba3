"""Convolutions."""

from functools import partial

from pellucid.capture.operators.vocabulary import operator

_convolution = partial(operator, kind="convolution", traits="linear, weighted")
_ATEN = "convolution _convolution convolution_overrideable cudnn_convolution mkldnn_convolution"
_NODE = "convolution convolutionoverrideable cudnnconvolution mkldnnconvolution"

CONVOLUTION = _convolution(
    "convolution", "conv1d conv2d conv3d", aten=_ATEN, node=_NODE,
    bind="input weight bias=None stride=1 padding=0 dilation=1 groups=1",
)  # fmt: skip
TRANSPOSED_CONVOLUTION = _convolution(
    "transposed convolution", "conv_transpose1d conv_transpose2d conv_transpose3d", aten=_ATEN, node=_NODE,
    bind="input weight bias=None stride=1 padding=0 output_padding=0 groups=1 dilation=1",
)  # fmt: skip
SLOW_CONVOLUTION = _convolution(
    "slow convolution", "", aten="slow_conv3d slow_conv_transpose2d _slow_conv2d_forward",
    node="slowconv2d slowconv3d slowconvtranspose2d",
)  # fmt: skip
