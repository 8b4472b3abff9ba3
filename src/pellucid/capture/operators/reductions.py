"""What makes one value of many: means, sums, extremes, lengths, and what adds up along an axis."""

from functools import partial

import torch

from pellucid.capture.operators.vocabulary import operator, signature

_kind = partial(operator, kind="reductions")
_ALONG = "input dim=None keepdim=False"
_SUM = "input dim=None keepdim=False dtype=None out=None"

MEAN = _kind("mean", bind=_SUM, traits="linear")
SUM = _kind("sum", bind=_SUM, traits="linear")
NANMEAN = _kind("nanmean", aten="", bind=_SUM, traits="composite")
NANSUM = _kind("nansum", bind=_SUM)
MAX = _kind("max", aten="max maximum", node="max maximum", bind=_ALONG, traits="choosing")
MIN = _kind("min", aten="min minimum", node="min minimum", bind=_ALONG, traits="choosing")
AMAX = _kind("amax", bind=_ALONG, traits="choosing")
AMIN = _kind("amin", bind=_ALONG, traits="choosing")
AMINMAX = _kind("aminmax", bind="input dim=None keepdim=False")
MEDIAN = _kind("median", bind=_ALONG)
NANMEDIAN = _kind("nanmedian", bind=_ALONG)
MODE = _kind("mode", bind=_ALONG)
KTHVALUE = _kind("kthvalue", bind="input k dim=-1 keepdim=False")
PROD = _kind("prod", bind=_SUM)
VAR = _kind("var", bind="input dim=None unbiased=True keepdim=False correction=1")
STD = _kind("std", bind="input dim=None unbiased=True keepdim=False correction=1")
VAR_MEAN = _kind("var_mean", bind="input dim=None unbiased=True keepdim=False correction=1")
STD_MEAN = _kind("std_mean", bind="input dim=None unbiased=True keepdim=False correction=1")
NORM = _kind(
    "norm", "", also=frozenset({torch.norm, torch.Tensor.norm, torch.linalg.norm, torch.linalg.vector_norm}),
    aten="linalg_vector_norm norm",
    bind=signature(
        "input ord=2 dim=None keepdim=False dtype=None",
        {
            torch.norm: signature("input p='fro' dim=None keepdim=False out=None dtype=None"),
            torch.Tensor.norm: signature("input p='fro' dim=None keepdim=False dtype=None"),
            torch.linalg.norm: signature("input ord=None dim=None keepdim=False dtype=None"),
        },
    ),
)  # fmt: skip
LOGSUMEXP = _kind("logsumexp", bind="input dim keepdim=False")
CUMSUM = _kind("cumsum", "cumsum cumsum_", bind="input dim dtype=None", traits="linear")
CUMPROD = _kind("cumprod", "cumprod cumprod_", bind="input dim dtype=None")
LOGCUMSUMEXP = _kind("logcumsumexp", bind="input dim")
CUMMAX = _kind("cummax", bind="input dim")
CUMMIN = _kind("cummin", bind="input dim")
SORT = _kind("sort", "sort msort", bind="input dim=-1 descending=False stable=False")
TOPK = _kind("topk", bind="input k dim=-1 largest=True sorted=True")
COUNTING = _kind(
    "counting", "argmax argmin any all count_nonzero", aten="argmax argmin any all count_nonzero", node="",
    bind=_ALONG, traits="constant",
)  # fmt: skip
