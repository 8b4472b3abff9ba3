"""What moves values about: shapes, parts, joins, copies, padding, and places told by number or by mask."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from pellucid.capture.operators.vocabulary import operator, signature

_moving = partial(operator, kind="moving", traits="moving")

VIEW = _moving(
    "view", "view reshape view_as reshape_as flatten unflatten ravel",
    aten="view _unsafe_view _reshape_copy clone", node="view unsafeview reshapealias clone",
)  # fmt: skip
PERMUTE = _moving(
    "permute", "permute transpose transpose_ swapaxes swapdims moveaxis movedim t t_ adjoint",
    also=frozenset(getattr(Tensor, name).__get__ for name in ("T", "mT", "H", "mH")),
    aten="permute transpose t", node="permute transpose t movedim",
)  # fmt: skip
SQUEEZE = _moving("squeeze", "squeeze squeeze_ unsqueeze unsqueeze_", aten="squeeze unsqueeze", bind="input dim=None")
EXPAND = _moving("expand", "expand expand_as broadcast_to", aten="expand")
REPEAT = _moving(
    "repeat", "repeat tile repeat_interleave", aten="repeat clone", node="repeat clone",
)  # fmt: skip
GETITEM = _moving(
    "getitem", "__getitem__ select narrow diagonal as_strided", also=frozenset({Tensor.unfold}),
    aten="slice select index as_strided diagonal unfold alias lift_fresh _unsafe_index",
    node="slice select index narrow asstrided diagonal unfold alias",
)  # fmt: skip
_PARTS = {
    "split_size": (Tensor.split, torch.unsafe_split, Tensor.unsafe_split),
    "split_size_or_sections": (torch.split,),
    "split_sizes": (torch.split_with_sizes, Tensor.split_with_sizes),
    "chunks": (torch.chunk, Tensor.chunk, torch.unsafe_chunk, Tensor.unsafe_chunk),
    "sections": (torch.tensor_split, Tensor.tensor_split),
}
"""Names of the argument that says where to cut."""
SPLIT = _moving(
    "split", "split chunk tensor_split unbind unsafe_split unsafe_chunk split_with_sizes",
    bind=signature(
        "input dim=0",
        {each: signature(f"input {name} dim=0") for name, functions in _PARTS.items() for each in functions},
    ),
    aten="split split_with_sizes unbind unsafe_split slice",
    node="split chunk splitwithsizes unbind unsafesplit unsafesplitwithsizes slice",
)  # fmt: skip
CAT = _moving("cat", "cat concat concatenate hstack vstack dstack", bind="tensors dim=0", traits="joining")
STACK = _moving("stack", bind="tensors dim=0", traits="joining")
FLIP = _moving("flip", "flip fliplr flipud rot90", aten="flip rot90")
ROLL = _moving("roll", bind="input shifts dims=None")
PIXEL_SHUFFLE = _moving(
    "pixel_shuffle", "pixel_shuffle pixel_unshuffle", aten="pixel_shuffle pixel_unshuffle", bind="input factor"
)
CHANNEL_SHUFFLE = _moving(
    "channel_shuffle", "channel_shuffle native_channel_shuffle", aten="channel_shuffle native_channel_shuffle",
    node="channelshuffle nativechannelshuffle", bind="input groups",
)  # fmt: skip
PAD = _moving(
    "pad", "pad constant_pad_nd",
    aten=" ".join(["constant_pad_nd", *(f"{how}_pad{n}d" for how in ("reflection", "replication") for n in (1, 2, 3))]),
    bind=signature(
        "input pad mode='constant' value=None", {torch.constant_pad_nd: signature("input pad value=0")}
    ),
)  # fmt: skip
TAKE_ALONG_DIM = _moving("take_along_dim", aten="", bind="input indices dim=None out=None", traits="composite")
GATHER = _moving("gather", bind="input dim index sparse_grad=False")
INDEX_SELECT = _moving("index_select", bind="input dim index")
TAKE = _moving("take", bind="input index", traits="linear, moving")
EMBEDDING = _moving("embedding", bind="input weight padding_idx=None", traits="")
COPY = _moving(
    "clone", """
        clone contiguous to float double half bfloat16 type type_as cpu detach detach_ requires_grad_
        copy_ positive __pos__
    """,
    aten="clone contiguous _to_copy copy detach lift",
    node="clone tocopy copybackwards torch::autograd::copybackwards mkldnnreshape",
)  # fmt: skip
IM2COL = _moving(
    "unfold", "", also=frozenset({F.unfold}), aten="im2col", bind="input kernel_size dilation=1 padding=0 stride=1",
    traits="linear",
)  # fmt: skip
COL2IM = _moving(
    "fold", "", also=frozenset({F.fold}), aten="col2im",
    bind="input output_size kernel_size dilation=1 padding=0 stride=1", traits="linear",
)  # fmt: skip
TRIANGLE = _moving("tril", "tril tril_ triu triu_", aten="tril triu", bind="input diagonal=0", traits="linear")
WHERE = _moving("where", bind="condition input=None other=None", traits="by mask")
MASKED_FILL = _moving("masked_fill", "masked_fill masked_fill_", bind="input mask value", traits="by mask")
MASKED_SELECT = _moving("masked_select", bind="input mask", traits="")
SCATTER = _moving(
    "scatter", """
        scatter scatter_ scatter_add scatter_add_ index_put index_put_ index_add index_add_ index_copy index_copy_
        index_fill index_fill_ masked_scatter masked_scatter_ __setitem__ slice_scatter select_scatter
    """,
    aten="""
        scatter scatter_add index_put index_add index_copy index_fill masked_scatter slice_scatter select_scatter
    """,
    node="scatter scatteradd indexput indexadd indexcopy indexfill maskedscatter slicescatter selectscatter",
    traits="",
)  # fmt: skip
FILL = _moving(
    "fill", "fill fill_ zero_ normal_ uniform_ bernoulli_ exponential_ random_",
    aten="fill zero normal uniform bernoulli exponential random", traits="constant",
)  # fmt: skip
MAKE = _moving(
    "making constants", "zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full",
    aten="empty zeros ones full arange eye rand randn randint linspace zeros_like ones_like full_like empty_like "
    "rand_like randn_like new_zeros new_ones new_full new_empty scalar_tensor",
    node="", traits="constant",
)  # fmt: skip
