"""Every operator goes by the names that its record says: measured by running each of its functions on tiny tensors."""

from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pellucid.capture.operators import nodes_below, plain_name
from pellucid.capture.operators.vocabulary import behind, called, computed_by, every_operator

EVERY = every_operator()

# How each function, or all functions of an operator, can be called. `x(...)` makes a tensor that may be differentiated
# and written to, `c(...)` a constant; `n` is the number of axes in a function's name.
CALLS = """
convolution: f(maps(n), c(2, 2, *[2] * n), c(2))
transposed convolution: f(maps(n), c(2, 2, *[2] * n), c(2))
max_pool: f(maps(n), 2)
avg_pool: f(maps(n), 2)
lp_pool: f(maps(n), 2.0, 2)
adaptive_max_pool: f(maps(n), 2)
adaptive_avg_pool: f(maps(n), 2)
fractional_max_pool: f(maps(n), 2, 2)
max_unpool: f(maps(n), places(n), 2, 2, 0)
interpolate: f(maps(1), 2); f(maps(2), 2); f(maps(3), 2); f(maps(1), 2, mode="linear"); \
f(maps(2), 2, mode="bilinear"); f(maps(2), 2, mode="bicubic"); f(maps(3), 2, mode="trilinear"); \
f(maps(1), 2, mode="nearest-exact"); \
f(maps(2), 2, mode="nearest-exact"); f(maps(3), 2, mode="nearest-exact"); \
f(maps(2), 2, mode="bilinear", antialias=True); f(maps(2), 2, mode="bicubic", antialias=True)
upsample: f(maps(2), 2)
upsample_nearest: f(maps(2), 2)
upsample_bilinear: f(maps(2), 2)
grid_sample: f(maps(2), c(2, 2, 2, 2), align_corners=False); f(maps(3), c(2, 2, 2, 2, 3), align_corners=False)
batch_norm: f(maps(2), c(2), c(2)); f(maps(2), None, None, training=True)
torch.batch_norm: f(maps(2), c(2), c(2), c(2), c(2), False, 0.1, 1e-5, True)
instance_norm: f(maps(2))
torch.instance_norm: f(maps(2), None, None, None, None, True, 0.1, 1e-5, True)
layer_norm: f(x(2, 4), (4,))
rms_norm: f(x(2, 4), (4,))
group_norm: f(maps(2), 2)
local_response_norm: f(maps(2), 2)
threshold: f(x(2, 4), 0.2, 0.1)
prelu: f(x(2, 4), c(1))
softmax: f(x(2, 4), 1)
log_softmax: f(x(2, 4), 1)
softmin: f(x(2, 4), 1)
torch.dropout: f(x(2, 4), 0.5, True)
dropout: f(maps(n))
feature_dropout: f(x(2, 4), 0.5, True)
alpha_dropout: f(maps(2), 0.5, True)
clamp: f(x(2, 4), 0.2, 0.8)
clamp_min: f(x(2, 4), 0.2)
clamp_max: f(x(2, 4), 0.2)
add: f(x(2), x(2)); f(x(2), 1)
sub: f(x(2), x(2)); f(x(2), 1)
rsub: f(x(2), x(2)); f(x(2), 1)
mul: f(x(2), x(2)); f(x(2), 2)
div: f(x(2), x(2)); f(x(2), 2)
rdiv: f(x(2), 2)
pow: f(x(2), 2); f(x(2), x(2))
rpow: f(x(2), 2)
float_power: f(x(2).double(), 2)
atan2: f(x(2), x(2))
hypot: f(x(2), x(2))
remainder: f(x(2), x(2))
fmod: f(x(2), x(2))
floor_divide: f(x(2), x(2))
addcmul: f(x(2), c(2), c(2))
addcdiv: f(x(2), c(2), c(2))
lerp: f(x(2), x(2), 0.3)
maximum: f(x(2), x(2))
minimum: f(x(2), x(2))
fmax: f(x(2), x(2))
fmin: f(x(2), x(2))
max: f(x(2, 4)); f(x(2, 4), 1); f(x(2), x(2))
min: f(x(2, 4)); f(x(2, 4), 1); f(x(2), x(2))
logical_not: f(x(2, 4))
comparison: f(x(2), x(2))
fft: f(maps(2))
fft_ifft: f(torch.complex(maps(2), maps(2)))
fft_irfft: f(torch.complex(maps(2), maps(2)))
kthvalue: f(x(2, 4), 1)
logsumexp: f(x(2, 4), 1)
cumsum: f(x(2, 4), 1)
cumprod: f(x(2, 4), 1)
logcumsumexp: f(x(2, 4), 1)
cummax: f(x(2, 4), 1)
cummin: f(x(2, 4), 1)
topk: f(x(2, 4), 1)
linear: f(x(3, 4), c(2, 4), c(2)); f(x(3, 2, 4), c(2, 4), c(2)); f(x(3, 4), c(2, 4))
matmul: f(x(2, 2), c(2, 2)); f(x(2, 2), c(2)); f(x(3, 2, 2), c(3, 2, 2)); f(x(2), c(2))
mm: f(x(2, 2), c(2, 2))
bmm: f(x(3, 2, 2), c(3, 2, 2))
mv: f(x(2, 2), c(2))
einsum: f("ij,jk->ik", x(2, 2), c(2, 2))
addmm: f(x(2, 2), x(2, 2), c(2, 2))
addmv: f(x(2), x(2, 2), c(2))
baddbmm: f(x(3, 2, 2), x(3, 2, 2), c(3, 2, 2))
addbmm: f(x(2, 2), x(3, 2, 2), c(3, 2, 2))
addr: f(x(2, 2), x(2), c(2))
dot: f(x(2), c(2))
outer: f(x(2), c(2))
bilinear: f(x(3, 2), x(3, 4), c(5, 2, 4))
cdist: f(x(3, 2), c(3, 2)); f(x(30, 2), c(30, 2))
cosine_similarity: f(x(2, 4), x(2, 4))
pairwise_distance: f(x(2, 4), x(2, 4))
tensordot: f(x(2, 2), c(2, 2), 1)
reshape: f(x(2, 4), (4, 2)); f(x(2, 4).t(), (8,))
view: f(x(2, 4), (4, 2))
view_as: f(x(2, 4), c(4, 2))
reshape_as: f(x(2, 4), c(4, 2))
flatten: f(x(2, 4))
ravel: f(x(2, 4))
unflatten: f(x(2, 4), 1, (2, 2))
permute: f(x(2, 4), (1, 0))
transpose: f(x(2, 4), 0, 1)
swapaxes: f(x(2, 4), 0, 1)
swapdims: f(x(2, 4), 0, 1)
moveaxis: f(x(2, 4), 0, 1)
movedim: f(x(2, 4), 0, 1)
t: f(x(2, 4))
adjoint: f(x(2, 4))
__get__: f(x(2, 4))
squeeze: f(x(2, 1, 4), 1)
expand: f(x(1, 4), (2, 4))
broadcast_to: f(x(1, 4), (2, 4))
expand_as: f(x(1, 4), c(2, 4))
repeat: f(x(1, 4), (2, 1))
tile: f(x(1, 4), (2, 1))
repeat_interleave: f(x(1, 4), 2, 1)
getitem: f(x(2, 4), 0); f(x(2, 4), (slice(1), slice(1, 3))); f(x(2, 4), [1, 0]); f(x(2, 4), None); f(x(2, 4), ...)
select: f(x(2, 4), 0, 0)
narrow: f(x(2, 4), 0, 0, 1)
diagonal: f(x(2, 4))
as_strided: f(x(2, 4), (2, 2), (4, 1))
Tensor.unfold: f(x(2, 4), 1, 2, 2)
unfold_copy: f(x(2, 4), 1, 2, 2)
split: f(x(2, 4), 1); f(x(2, 4), [1, 1])
chunk: f(x(2, 4), 2); f(x(2, 5), 2, 1)
unsafe_chunk: f(x(2, 4), 2)
unsafe_split: f(x(2, 4), 1)
tensor_split: f(x(2, 4), 2)
unbind: f(x(2, 4))
split_with_sizes: f(x(2, 4), [1, 1])
cat: f([x(2, 4), x(2, 4)])
stack: f([x(2, 4), x(2, 4)])
flip: f(x(2, 4), (0,))
fliplr: f(x(2, 4))
flipud: f(x(2, 4))
rot90: f(x(2, 4))
roll: f(x(2, 4), 1)
pixel_shuffle: f(x(1, 4, 2, 2), 2)
pixel_unshuffle: f(x(1, 4, 2, 2), 2)
channel_shuffle: f(x(1, 4, 2, 2), 2)
pad: f(maps(1), (1, 1)); f(maps(1), (1, 1), mode="reflect"); f(maps(2), (1, 1, 1, 1), mode="reflect"); \
f(maps(3), (1, 1, 1, 1, 1, 1), mode="reflect"); f(maps(1), (1, 1), mode="replicate"); \
f(maps(2), (1, 1, 1, 1), mode="replicate"); f(maps(3), (1, 1, 1, 1, 1, 1), mode="replicate")
constant_pad_nd: f(maps(1), (1, 1))
gather: f(x(2, 4), 1, at(2, 1))
take_along_dim: f(x(2, 4), at(2, 1), 1)
index_select: f(x(2, 4), 1, at(2))
take: f(x(2, 4), at(2))
embedding: f(at(2), c(3, 2).requires_grad_())
F.embedding: f(at(2), c(3, 2).requires_grad_())
torch.embedding: f(c(3, 2).requires_grad_(), at(2))
to: f(x(2), torch.float64)
type: f(x(2), torch.float64)
type_as: f(x(2), c(2).double())
contiguous: f(x(2, 4).t())
copy: f(x(2), x(2).double())
unfold: f(maps(2), 2)
fold: f(x(2, 4, 9), 4, 2)
tril: f(x(2, 4))
where: f(c(2) > 0, x(2), x(2))
Tensor.where: f(x(2), c(2) > 0, x(2))
masked_fill: f(x(2), c(2) > 0, 0.5)
masked_select: f(x(2), c(2) > 0)
scatter: f(x(2, 4), 1, at(2, 1), c(2, 1))
scatter_add: f(x(2, 4), 1, at(2, 1), c(2, 1))
index_put: f(x(2, 4), (at(2),), c(2, 4))
index_add: f(x(2, 4), 0, at(2), c(2, 4))
index_copy: f(x(2, 4), 0, at(2), c(2, 4))
index_fill: f(x(2, 4), 0, at(2), 0.5)
masked_scatter: f(x(2), c(2) > 0, c(2))
setitem: f(x(2, 4), at(2), c(2, 4))
slice_scatter: f(x(2, 4), c(1, 4), 0, 0, 1)
select_scatter: f(x(2, 4), c(4), 0, 0)
fill: f(x(2, 4), 0.5)
zero: f(x(2, 4))
normal: f(x(2, 4))
uniform: f(x(2, 4))
bernoulli: f(x(2, 4))
exponential: f(x(2, 4))
random: f(x(2, 4))
full_like: f(x(2), 0.5)
new_zeros: f(x(2), (2,))
new_ones: f(x(2), (2,))
new_full: f(x(2), (2,), 0.5)
scaled_dot_product_attention: f(x(1, 1, 4, 2), x(1, 1, 4, 2), x(1, 1, 4, 2))
multi_head_attention_forward: f(x(3, 1, 4), x(3, 1, 4), x(3, 1, 4), 4, 2, c(12, 4), c(12), None, None, False, 0.0, \
c(4, 4), c(4))
_native_multi_head_attention: f(*[x(1, 3, 4)] * 3, 4, 2, c(12, 4), c(12), c(4, 4), c(4))
_transformer_encoder_layer_fwd: f(x(1, 3, 4), 4, 2, c(12, 4), c(12), c(4, 4), c(4), False, False, 1e-5, c(4), c(4), \
c(4), c(4), c(4, 4), c(4), c(4, 4), c(4))
lstm: f(x(3, 2, 4), (c(1, 2, 4), c(1, 2, 4)), [c(16, 4), c(16, 4), c(16), c(16)], True, 1, 0.0, False, False, False)
gru: f(x(3, 2, 4), c(1, 2, 4), [c(12, 4), c(12, 4), c(12), c(12)], True, 1, 0.0, False, False, False)
rnn: f(x(3, 2, 4), c(1, 2, 4), [c(4, 4), c(4, 4), c(4), c(4)], True, 1, 0.0, False, False, False)
lstm_cell: f(x(2, 4), (c(2, 4), c(2, 4)), c(16, 4), c(16, 4), c(16), c(16))
gru_cell: f(x(2, 4), c(2, 4), c(12, 4), c(12, 4), c(12), c(12))
rnn_tanh_cell: f(x(2, 4), c(2, 4), c(4, 4), c(4, 4), c(4), c(4))
rnn_relu_cell: f(x(2, 4), c(2, 4), c(4, 4), c(4, 4), c(4), c(4))
"""
EXAMPLES = dict(line.split(": ", 1) for line in CALLS.strip().splitlines())

PLACES = {"F": F, "torch": torch, "Tensor": Tensor}


def c(*shape):
    return torch.linspace(0.1, 0.9, torch.Size(shape).numel()).reshape(shape)


def x(*shape):
    return c(*shape).requires_grad_() * 1


def maps(axes):
    return x(*[2, 2, 4, 4, 4][: 2 + axes])


def places(axes):
    """Of the largest values in maps twice as long."""
    return getattr(F, f"max_pool{axes}d")(c(2, 2, *[8, 8, 8][:axes]), 2, return_indices=True)[1]


def at(*shape):
    return torch.arange(torch.Size(shape).numel()).reshape(shape)


class Names(TorchDispatchMode):
    """Notes the ATen operations that run inside."""

    def __init__(self):
        super().__init__()
        self.found = set()

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # torch would import its compiler, which takes seconds

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found.add(func._schema.name.removeprefix("aten::").rstrip("_"))
        return func(*args, **(kwargs or {}))


def home(function):
    """The place where a function is found by its own name."""
    found = (name for name, place in PLACES.items() if getattr(place, function.__name__, None) is function)
    return next(found, "")


def calls_of(operator, function):
    """What to evaluate for a function: the line of this very one, of its name, or of its operator."""
    name = function.__name__
    plain = name.strip("_").removesuffix("_with_indices")
    plain = plain[1:] if name.startswith("__i") else plain
    for key in (f"{home(function)}.{plain}", name, name.rstrip("_"), plain, operator.name):
        if key in EXAMPLES:
            return EXAMPLES[key].split("; ")
    return ["f(x(2, 4))"]


def run(function, call):
    """Names of the operations that one call runs, and of the nodes that it adds to the graph."""
    names, begun = Names(), []

    def f(*args, **kwargs):
        begun.extend(t.grad_fn for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.grad_fn)
        with names:
            result = function(*args, **kwargs)
        return args[0] if result is None else result

    axes = next((int(digit) for digit in function.__name__ if digit in "123"), 2)
    space = {"f": f, "c": c, "x": x, "maps": maps, "places": places, "at": at, "n": axes, "torch": torch}
    made = [t.grad_fn for t in tree_leaves(eval(call, space)) if isinstance(t, Tensor)]
    fresh = [node for node in made if node is not None and node not in begun]
    return names.found, {plain_name(node) for start in fresh for node in nodes_below(start, *begun)}


@cache
def measured(operator):
    """ATen names and node names of all calls of an operator's functions, with and without a graph."""
    aten, nodes = set(), set()
    for function in operator.functions:
        for call in calls_of(operator, function):
            for graph in (True, False):
                with torch.set_grad_enabled(graph):
                    names, made = run(function, call)
                aten |= names
                nodes |= made
    return aten, nodes - {"torch::autograd::accumulategrad", "torch::autograd::notimplemented"}


BESIDE = {"moving", "joining", "constant"}
"""Traits of what any operator may do on its way: shapes, copies, constants."""
ELSEWHERE = frozenset(
    """
    _scaled_dot_product_fused_attention_overrideable scaleddotproductfusedattentionoverrideable
    _convolution convolution_overrideable cudnn_convolution mkldnn_convolution cudnn_grid_sampler cudnn_batch_norm
    miopen_batch_norm _fused_rms_norm native_dropout _addmm_activation _cudnn_rnn cudnn_rnn quantized_lstm quantized_gru
    _scaled_dot_product_cudnn_attention _scaled_dot_product_efficient_attention _scaled_dot_product_flash_attention
    _thnn_fused_gru_cell _thnn_fused_lstm_cell slow_conv3d slow_conv_transpose2d _slow_conv2d_forward _int_mm _scaled_mm
    convolutionoverrideable cudnnconvolution mkldnnconvolution slowconv2d slowconv3d slowconvtranspose2d cudnnbatchnorm
    miopenbatchnorm fusedrmsnorm nativedropout scaleddotproductcudnnattention scaleddotproductefficientattention
    scaleddotproductflashattention cudnnrnn quantizedlstm quantizedgru thnnfusedgrucell thnnfusedlstmcell mkldnnreshape
    copybackwards
    """.split()  # noqa: SIM905
)
"""Names on other processors, in other memory formats or number types, or in other builds of torch."""
WHOLE = frozenset(
    """
    max_pool1d avg_pool1d adaptive_avg_pool1d batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
    _batch_norm_no_update norm linear lstm gru rnn_relu rnn_tanh dropout _safe_softmax _reshape_copy _unsafe_index
    contiguous lift reshapealias movedim narrow chunk unsafesplitwithsizes nativechannelshuffle rnnrelu rnntanh
    arange empty eye full linspace new_empty ones rand randint randn scalar_tensor zeros
    """.split()  # noqa: SIM905
)
"""Names where torch hands an operation on whole, as in inference mode and exported programs, or makes a constant."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", sorted({each.kind for each in EVERY}))
def test_functions_give_the_names_of_their_record(kind):
    for operator in (each for each in EVERY if each.kind == kind):
        for found, listed, find in zip(
            measured(operator), (operator.aten, operator.node), (computed_by, behind), strict=True
        ):
            unseen = listed - found - ELSEWHERE - WHOLE
            assert not unseen, (operator, "does not give", unseen)
            for name in found - listed:
                other = find(name)
                assert other and ("composite" in operator.traits or other.traits & BESIDE), (operator, "gives", name)


def test_a_function_is_found_by_every_spelling():
    for operator in EVERY:
        assert all(called(function) is operator for function in operator.functions)
        if not operator.functions:
            assert operator.aten | operator.node <= ELSEWHERE, operator


@pytest.mark.filterwarnings("ignore")
def test_names_of_other_places_are_not_seen_here():
    seen = [measured(operator) for operator in EVERY if operator.kind in ("convolution", "recurrent")]
    assert not ELSEWHERE & frozenset().union(*(names for each in seen for names in each))
