"""Pooling in windows, and resizing."""

from functools import partial

from torch.nn import functional as F

from pellucid.capture.operators.vocabulary import operator, signature

_pool = partial(operator, kind="pooling")
_WINDOW = "input kernel_size stride=None padding=0"

MAX_POOL = _pool(
    "max_pool",
    " ".join(f"max_pool{n}d max_pool{n}d_with_indices" for n in (1, 2, 3)),
    aten="max_pool1d max_pool2d_with_indices max_pool3d_with_indices",
    node="maxpool2dwithindices maxpool3dwithindices",
    bind=f"{_WINDOW} dilation=1 ceil_mode=False return_indices=False",
    traits="choosing",
)
ADAPTIVE_MAX_POOL = _pool(
    "adaptive_max_pool",
    " ".join(f"adaptive_max_pool{n}d adaptive_max_pool{n}d_with_indices" for n in (1, 2, 3)),
    aten="adaptive_max_pool2d adaptive_max_pool3d",
    bind="input output_size return_indices=False",
    traits="choosing",
)
AVG_POOL = _pool(
    "avg_pool", "avg_pool1d avg_pool2d avg_pool3d", aten="avg_pool1d avg_pool2d avg_pool3d",
    node="avgpool2d avgpool3d",
    bind=f"{_WINDOW} ceil_mode=False count_include_pad=True divisor_override=None", traits="linear",
)  # fmt: skip
ADAPTIVE_AVG_POOL = _pool(
    "adaptive_avg_pool", "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d",
    aten="adaptive_avg_pool1d _adaptive_avg_pool2d _adaptive_avg_pool3d",
    node="adaptiveavgpool2d adaptiveavgpool3d", bind="input output_size", traits="linear",
)  # fmt: skip
LP_POOL = _pool(
    "lp_pool", "lp_pool1d lp_pool2d lp_pool3d", aten="",
    bind="input norm_type kernel_size stride=None ceil_mode=False", traits="composite",
)  # fmt: skip
FRACTIONAL_MAX_POOL = _pool(
    "fractional_max_pool",
    "",
    also=frozenset(
        {
            F.fractional_max_pool2d,
            F.fractional_max_pool3d,
            F.fractional_max_pool2d_with_indices,
            F.fractional_max_pool3d_with_indices,
        }
    ),
    aten="fractional_max_pool2d fractional_max_pool3d",
    bind="input kernel_size output_size=None output_ratio=None return_indices=False _random_samples=None",
)
MAX_UNPOOL = _pool(
    "max_unpool", "", also=frozenset({F.max_unpool1d, F.max_unpool2d, F.max_unpool3d}),
    aten="max_unpool2d max_unpool3d",
    bind="input indices kernel_size stride=None padding=0 output_size=None",
)  # fmt: skip
INTERPOLATE = _pool(
    "interpolate", "interpolate upsample upsample_nearest upsample_bilinear",
    aten="""
        upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d
        upsample_bicubic2d upsample_trilinear3d _upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa
    """,
    bind=signature(
        "input size=None scale_factor=None mode='nearest' align_corners=None recompute_scale_factor=None "
        "antialias=False",
        {F.upsample_bilinear: signature("input size=None scale_factor=None mode='bilinear' align_corners=True")},
    ),
    traits="linear",
)  # fmt: skip
GRID_SAMPLE = _pool(
    "grid_sample", "", aten="grid_sampler_2d grid_sampler_3d cudnn_grid_sampler",
    node="gridsampler2d gridsampler3d", also=frozenset({F.grid_sample}),
    bind="input grid mode='bilinear' padding_mode='zeros' align_corners=None",
    traits="linear, linear in the first",
)  # fmt: skip
