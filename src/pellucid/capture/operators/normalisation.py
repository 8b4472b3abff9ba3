"""Normalisation: by running statistics, over each sample's own values, and by length."""

from functools import partial

import torch
from torch.nn import functional as F

from pellucid.capture.operators.vocabulary import operator, signature

_norm = partial(operator, kind="norms")
_TORCHS_OWN = signature(
    "input weight bias running_mean running_var training=False momentum=0.1 eps=1e-5 cudnn_enabled=True"
)

BATCH_NORM = _norm(
    "batch_norm",
    aten="""
        native_batch_norm cudnn_batch_norm miopen_batch_norm batch_norm _native_batch_norm_legit
        _native_batch_norm_legit_no_training _batch_norm_no_update
    """,
    node="nativebatchnorm cudnnbatchnorm miopenbatchnorm",
    bind=signature(
        "input running_mean=None running_var=None weight=None bias=None training=False momentum=0.1 eps=1e-5",
        {torch.batch_norm: _TORCHS_OWN},
    ),
    traits="linear, weighted",
)
LAYER_NORM = _norm(
    "layer_norm", aten="native_layer_norm",
    bind="input normalized_shape weight=None bias=None eps=1e-5 cudnn_enable=True",
)  # fmt: skip
GROUP_NORM = _norm(
    "group_norm", aten="native_group_norm", bind="input num_groups weight=None bias=None eps=1e-5 cudnn_enabled=True"
)
RMS_NORM = _norm(
    "rms_norm", aten="_fused_rms_norm", bind="input normalized_shape weight=None eps=None", traits="composite"
)
INSTANCE_NORM = _norm(
    "instance_norm", aten="", traits="composite",
    bind=signature(
        "input running_mean=None running_var=None weight=None bias=None use_input_stats=True momentum=0.1 eps=1e-5",
        {torch.instance_norm: signature(
            "input weight bias running_mean running_var use_input_stats=True momentum=0.1 eps=1e-5 cudnn_enabled=True"
        )},
    ),
)  # fmt: skip
LOCAL_RESPONSE_NORM = _norm(
    "local_response_norm", aten="", bind="input size alpha=1e-4 beta=0.75 k=1.0", traits="composite"
)
NORMALIZE = _norm(
    "normalize", "", also=frozenset({F.normalize}), aten="", bind="input p=2.0 dim=1 eps=1e-12 out=None",
    traits="composite",
)  # fmt: skip
