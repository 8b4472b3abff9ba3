"""Dense layers, products of matrices and vectors, and distances made of them."""

from functools import partial

import torch

from pellucid.capture.operators.vocabulary import operator

_product = partial(operator, kind="products", traits="linear")

MATMUL = _product(
    "matmul", "matmul mm bmm mv __matmul__ __rmatmul__ __imatmul__", also=frozenset({torch.linalg.matmul}),
    aten="mm bmm mv dot", node="mm bmm mv dot", bind="input other",
)  # fmt: skip
LINEAR = _product(
    "linear", aten="linear addmm mm", node="linear addmm mm", bind="input weight bias=None",
    traits="linear, weighted",
)  # fmt: skip
SHORT_MATMUL = _product("_int_mm", "", aten="_int_mm", node="", traits="constant")
SCALED_MATMUL = _product("_scaled_mm", "", aten="_scaled_mm", node="", traits="constant")
EINSUM = _product("einsum", aten="bmm", node="bmm", bind="equation operands")
ADDMM = _product(
    "addmm", "addmm addmm_", aten="addmm _addmm_activation", node="addmm", bind="input mat1 mat2 beta=1 alpha=1",
    traits="linear, weighted",
)  # fmt: skip
ADDMV = _product("addmv", "addmv addmv_", bind="input mat vec beta=1 alpha=1", traits="linear, weighted")
BADDBMM = _product("baddbmm", "baddbmm baddbmm_", bind="input batch1 batch2 beta=1 alpha=1", traits="linear, weighted")
ADDBMM = _product("addbmm", "addbmm addbmm_", bind="input batch1 batch2 beta=1 alpha=1", traits="linear, weighted")
ADDR = _product("addr", "addr addr_", bind="input vec1 vec2 beta=1 alpha=1", traits="")
DOT = _product("dot", "dot vdot inner", aten="dot vdot", bind="input other")
OUTER = _product("outer", "outer ger", aten="mul", bind="input vec2")
BILINEAR = _product("bilinear", aten="_trilinear", bind="input1 input2 weight bias=None", traits="")
CDIST = _product(
    "cdist",
    aten="_cdist_forward _euclidean_dist",
    node="cdist euclideandist",
    bind="x1 x2 p=2.0 compute_mode=None",
    traits="",
)
COSINE_SIMILARITY = _product("cosine_similarity", aten="", bind="x1 x2 dim=1 eps=1e-8", traits="composite")
PAIRWISE_DISTANCE = _product(
    "pairwise_distance", aten="", bind="x1 x2 p=2.0 eps=1e-6 keepdim=False", traits="composite"
)
TENSORDOT = _product("tensordot", aten="mm", bind="a b dims=2 out=None")
