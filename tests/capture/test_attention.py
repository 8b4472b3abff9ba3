"""Attention found by its operations, proven to be a chain over one grid of tokens, and read without a trace."""

import gc

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from attention_nets import WRITINGS, Block, ViT, build, images
from pellucid.capture.attention.layout import transformer
from pellucid.capture.attention.operations import Attending
from pellucid.capture.attention.tokens import grid_of_labels
from pellucid.capture.running import guarded
from pellucid.errors import Refused

METHODS = ("attention-rollout", "attention-gradient", "le-grad")
FUSED = {"fused", "module", "module, sequence first"}


def measured(net, image=None):
    model = pellucid.wrap(net)
    with guarded(net):
        return transformer(model, images() if image is None else image)


# The operations


def tensors(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


class Told(Attending):
    """Keeps what it is told."""

    def weights(self, number, weights, edge):
        self.seen = weights

    def fused(self, number, values, result):
        self.values = values


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"scale": 0.3},
        {"is_causal": True},
        {"attn_mask": tensors(6, 6)},
        {"attn_mask": tensors(2, 1, 6, 6) > -1},
        {"enable_gqa": True},
    ],
    ids=lambda named: next(iter(named), "plain"),
)
def test_weights_times_values_is_what_the_fused_operation_gives(named):
    heads = 2 if "enable_gqa" in named else 4
    q, k, v = tensors(2, 4, 6, 3), tensors(2, heads, 6, 3) * 2, tensors(2, heads, 6, 5)
    expected = F.scaled_dot_product_attention(q, k, v, **named)
    with Told() as told:
        got = F.scaled_dot_product_attention(q, k, v, **named)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(told.seen.sum(-1), torch.ones(2, 4, 6, dtype=torch.float64))
    torch.testing.assert_close(told.seen @ told.values.repeat_interleave(4 // heads, 1), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_as_the_kernels_do(dtype):
    q, k, v = (tensors(2, 4, 6, 8, dtype=dtype) for _ in range(3))
    with Attending():
        stepwise = F.scaled_dot_product_attention(q, k, v)
    assert stepwise.dtype == dtype
    exact = F.scaled_dot_product_attention(q.double(), k.double(), v.double())
    assert (stepwise - exact).abs().max() <= torch.finfo(dtype).eps * exact.abs().max()


@pytest.mark.parametrize("how", WRITINGS)
@pytest.mark.parametrize("graph", [True, False])
def test_the_network_gives_the_same(how, graph):
    net, image = build(how), images()
    with torch.set_grad_enabled(graph):
        expected = net(image)
        with Attending() as seen:
            got = net(image)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14)
    assert seen.count == 3


@pytest.mark.parametrize("wanted", [{}, {"average_attn_weights": False}, {"need_weights": False}])
def test_a_module_returns_the_weights_that_its_caller_asked_for(wanted):
    module, x = nn.MultiheadAttention(8, 2, batch_first=True).double().eval(), tensors(2, 5, 8)
    expected = module(x, x, x, **wanted)
    with Attending():
        got = module(x, x, x, **wanted)
    torch.testing.assert_close(got[0], expected[0])
    assert (got[1] is None) == (expected[1] is None)
    if got[1] is not None:
        torch.testing.assert_close(got[1], expected[1])


def test_torch_s_own_encoder_does_not_take_its_fast_path():
    class Encoder(ViT):
        def __init__(self):
            super().__init__(depth=1)
            layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, norm_first=True)
            self.blocks = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)

    found = measured(build(make=Encoder))
    assert (found.trouble, len(found.calls), found.fused, found.tokens) == ("", 3, 3, 13)
    for method in METHODS:
        assert pellucid.explain(build(make=Encoder), images(), method)[method].raw.shape == (2, 3, 4)


# What is found out


@pytest.mark.parametrize("how", WRITINGS)
def test_layers_places_and_blocks(how):
    found = measured(build(how))
    assert found.trouble == ""
    assert (found.tokens, len(found.calls), found.fused) == (13, 3, 3 if how in FUSED else 0)
    assert found.places.tolist() == (torch.arange(12).view(3, 4) + 1).tolist()
    assert [str(site) for site in found.blocks] == ["blocks.0:0", "blocks.1:0", "blocks.2:0"]
    assert found.token_axis == 1


def shared_keys(q, k, v):
    return F.scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True)


def shared_values(q, k, v):
    return (q @ k.transpose(-2, -1)).softmax(-1) @ v[:, :1]


@pytest.mark.parametrize("attend", [shared_keys, shared_values])
def test_heads_that_share_their_values(attend):
    class Shared(ViT):
        def __init__(self):
            super().__init__()
            for block in self.blocks:
                block.attn.attend = attend

    net, image = build(make=Shared), images()
    assert measured(net).trouble == ""
    joined = pellucid.explain(net, image, "attention-rollout", 0)["attention-rollout"]
    torch.testing.assert_close(joined.extras["elsewhere"] + joined.raw.sum((1, 2)), torch.ones(2, dtype=torch.float64))
    assert pellucid.explain(net, image, "attention-gradient", 0)["attention-gradient"].raw.any()


def test_a_softmax_that_is_no_attention_is_passed_by():
    class Gated(ViT):
        def tokens(self, x):
            x = super().tokens(x)
            return x * (1 + x.softmax(-1))

        def answer(self, x):
            return super().answer(x).softmax(-1)

    assert measured(build("softmax", make=Gated)).calls == (1, 2, 3)


def test_tokens_first_then_the_batch():
    class SequenceFirst(ViT):
        def forward(self, x):
            return self.answer(self.blocks(self.tokens(x).transpose(0, 1)).transpose(0, 1))

    class Turned(Block):
        def forward(self, x):
            return super().forward(x.transpose(0, 1)).transpose(0, 1)

    def make():
        net = SequenceFirst()
        net.blocks = nn.Sequential(*(Turned(8, 2, "softmax") for _ in range(3)))
        return net

    found = measured(build(make=make))
    assert (found.trouble, found.token_axis, len(found.blocks)) == ("", 0, 3)
    got = pellucid.explain(build(make=make), images(), "le-grad")["le-grad"]

    def usual():
        net = make()
        net.__class__ = ViT
        for block in net.blocks:
            block.__class__ = Block
        return net

    torch.testing.assert_close(got.raw, pellucid.explain(build(make=usual), images(), "le-grad")["le-grad"].raw)


def test_half_precision_is_measured_too():
    found = measured(build(dtype=torch.bfloat16, prefix=2), images(dtype=torch.bfloat16))
    assert (found.trouble, found.tokens) == ("", 14)


def test_many_tokens_in_half_precision():
    net = build(dtype=torch.bfloat16)
    net.position = nn.Parameter(torch.randn(1, 193, 8, dtype=torch.bfloat16))
    found = measured(net, images(size=(48, 64), dtype=torch.bfloat16))
    assert (found.trouble, found.tokens, found.places.shape) == ("", 193, (12, 16))


@pytest.mark.parametrize(
    ("labels", "grid"),
    [
        ([[0, 1], [2, 3]], [[0, 1], [2, 3]]),
        ([[5, 5, 3, 3], [5, 5, 3, 3]], [[5, 3]]),
        ([[0, 1], [2, 0]], None),  # one token in two places
        ([[0, 0, 1], [0, 0, 1]], None),  # places of different width
        ([[0, 1], [0, 2]], None),
        ([[7, 7], [7, 7]], None),  # a single place is no map
    ],
)
def test_grids_of_labels(labels, grid):
    found = grid_of_labels(torch.tensor(labels))
    assert (None if found is None else found.tolist()) == grid


class Blocks(ViT):
    """`ViT` with something between its blocks."""

    def forward(self, x):
        x = self.tokens(x)
        for block in self.blocks:
            x = self.between(block(x))
        return self.answer(x)


class Convolved(Blocks):
    def __init__(self):
        super().__init__()
        self.mix = nn.Conv1d(8, 8, 3, padding=1, groups=8)

    def between(self, x):
        return x + self.mix(x.transpose(1, 2)).transpose(1, 2)


class Rolled(Blocks):
    def between(self, x):
        return torch.cat([x[:, :1], x[:, 1:].roll(1, 1)], 1)


class Squeezed(Blocks):
    def between(self, x):
        return x + x.mean(1, keepdim=True)


class MixesTheBatch(Blocks):
    def between(self, x):
        return x + x.mean(0, keepdim=True)


class Merged(Blocks):
    def between(self, x):
        return x[:, : max(2, x.shape[1] // 2)]


class SideBySide(ViT):
    def forward(self, x):
        x = self.tokens(x)
        for block in self.blocks:
            x = block(x) + block.attn(block.norm2(x))
        return self.answer(x)


class Windows(ViT):
    """Attention among the two halves of each row of patches; no other tokens."""

    def __init__(self):
        super().__init__(prefix=0, reads="patches")

    def forward(self, x):
        x = self.tokens(x)
        for block in self.blocks:
            x = block(x.reshape(-1, 2, 8)).reshape(x.shape)
        return self.answer(x)


class ChannelAttention(nn.Module):
    """As many features as tokens, so that only the meaning of the axes tells its matrix from one of tokens."""

    def __init__(self, width, heads, how):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)

    def forward(self, x):
        q, k, v = self.qkv(x).transpose(1, 2).chunk(3, 1)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)


class Channels(ViT):
    def __init__(self):
        super().__init__(width=13)
        for block in self.blocks:
            block.attn = ChannelAttention(13, 1, "")


class HeadsFirst(ViT):
    """Pictures and heads share an axis, heads first."""

    def __init__(self):
        super().__init__()
        for block in self.blocks:
            block.attn.attend = heads_first


def heads_first(q, k, v):
    n, heads = q.shape[:2]
    q, k, v = (t.transpose(0, 1).flatten(0, 1) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).unflatten(0, (heads, n)).transpose(0, 1)


class TalkingHeads(ViT):
    def __init__(self):
        super().__init__()
        for block in self.blocks:
            block.attn.attend = talking


def talking(q, k, v):
    weights = (q @ k.transpose(-2, -1)).softmax(-1)
    return (weights + 0.3 * weights.flip(1)) @ v


class AlwaysDropping(ViT):
    def __init__(self):
        super().__init__()
        for block in self.blocks:
            block.attn.attend = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.5)


class Pool(ViT):
    """An attention layer at the end looks from one query at all tokens."""

    def __init__(self):
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 1, 8))

    def answer(self, x):
        return self.head(F.scaled_dot_product_attention(self.query.expand(len(x), -1, -1), x, x)[:, 0])


class LaterMerged(Blocks):
    """Class tokens that only the last layers have."""

    def __init__(self):
        super().__init__()
        self.late = nn.Parameter(torch.randn(1, 1, 8))

    def between(self, x):
        return x if x.shape[1] > 13 else torch.cat([self.late.expand(len(x), -1, -1), x], 1)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: nn.Sequential(nn.Conv2d(3, 2, 4, 4), nn.Flatten(), nn.Linear(24, 5)), "it has no attention layer"),
        (lambda: ViT(skip=False), "there is no skip connection around its attention layer 1"),
        (Convolved, "between its attention layers 1 and 2 tokens are mixed"),
        (Rolled, "between its attention layers 1 and 2 tokens are mixed, reordered"),
        (Squeezed, "between its attention layers 1 and 2 tokens are mixed"),
        (MixesTheBatch, "between its attention layers 1 and 2 tokens are mixed"),
        (Merged, "its attention layers look at different sets of tokens"),
        (LaterMerged, "its attention layers look at different sets of tokens"),
        (SideBySide, "between its attention layers 1 and 2 tokens are mixed, reordered or passed by"),
        (Windows, "its attention looks within windows, at 2 of 12 places at a time"),
        (Channels, "its first attention layer looks at 13 tokens that are no grid of cells"),
        (HeadsFirst, "its first attention layer looks at 13 tokens that are no grid of cells"),
        (TalkingHeads, "it has no attention layer"),
        (AlwaysDropping, "it has no attention layer"),
        (Pool, "its attention layer 4 has a matrix of 1 x 13 tokens, not one of all tokens by all"),
    ],
)
def test_networks_whose_attention_would_mislead(make, why):
    net = build(make=make)
    for method in METHODS:
        with pytest.raises(Refused) as caught:
            pellucid.explain(net, images(), method)
        message = str(caught.value)
        assert message.startswith(f"{method} cannot read this network: {why}")
        assert message.endswith(". Use grad-cam.")
        assert message.count(". ") == 1


def test_refused_alone_others_answer():
    net = build(make=Windows)
    model = pellucid.wrap(net)
    assert pellucid.explain(model, images(), "saliency")["saliency"].raw.any()
    with pytest.raises(Refused, match="attention-rollout"):
        pellucid.explain(model, images(), ["saliency", "attention-rollout"])


# One pass, and how much of it


class Counted(ViT):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.passes = tiny.Fuse()

    def forward(self, x):
        self.passes()
        return super().forward(x)

    def count(self, methods):
        known = self.passes.calls
        pellucid.explain(self, images(), methods)
        return self.passes.calls - known


def test_measured_once():
    net = build(make=Counted)
    trial, answers, measuring, apart = 3, 1, 1, 2
    assert net.count("attention-rollout") == measuring + trial + answers + 1
    assert net.count("attention-gradient") == 1
    assert net.count("le-grad") == apart + 1
    assert net.count("le-grad") == 1
    with torch.no_grad():
        net.blocks[1] = Block(8, 2, "softmax").double().eval()
    assert net.count("attention-rollout") == measuring + trial + answers + 1


def test_a_refusal_is_not_remembered():
    net, image = build(), images()
    weights = net.blocks[1].attn.out.weight.detach().clone()
    net.blocks[1].attn.out.weight.data.zero_()  # as some begin their training
    with pytest.raises(Refused, match="between its attention layers 2 and 3"):
        pellucid.explain(net, image, "attention-rollout")
    net.blocks[1].attn.out.weight.data.copy_(weights)
    assert pellucid.explain(net, image, "attention-rollout")["attention-rollout"].raw.any()


def test_one_pass_for_all_that_read_the_score_s_attention():
    net = build(make=Counted)
    net.count(METHODS)
    assert net.count(["attention-rollout", "attention-gradient"]) == 1
    assert net.count(METHODS) == 2  # LeGrad's layers have graphs of their own
    assert net.count(["attention-rollout", "saliency"]) == 2


def test_together_is_alone():
    net, image = build(), images()
    options = {"attention-rollout": {"heads": "max"}}
    together = pellucid.explain(net, image, [*METHODS, "saliency"], [1, 4], options=options)
    for method in METHODS:
        alone = pellucid.explain(net, image, method, [1, 4], options=options if method in options else None)[method]
        torch.testing.assert_close(together[method].raw, alone.raw)


def test_several_targets_of_one_pass():
    net, image = build(), images()
    best = net(image).sort(1, descending=True).indices
    for method in METHODS:
        for k, a in enumerate(pellucid.explain(net, image, method, "top3")):
            alone = pellucid.explain(net, image, method, best[:, k].tolist())[method]
            torch.testing.assert_close(a.raw, alone.raw)


def saved_bytes(net, method):
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        pellucid.explain(net, images(), method)
    return sum(kept)


def test_saved_for_the_backward_pass():
    """Rollout keeps nothing before its last layer, whatever the depth."""
    sizes = {}
    for depth in (2, 6):
        for method in METHODS:
            net = build(depth=depth)
            pellucid.explain(net, images(), method)
            sizes[method, depth] = saved_bytes(net, method)
    assert sizes["attention-rollout", 6] == sizes["attention-rollout", 2]
    assert sizes["attention-gradient", 6] > 2 * sizes["attention-gradient", 2]


def matrices_alive():
    alive = [o for o in gc.get_objects() if type(o) is torch.Tensor and o.shape == (2, 2, 13, 13)]
    return len({o.untyped_storage().data_ptr() for o in alive})


@pytest.mark.parametrize(("method", "most"), [("attention-rollout", 1), ("le-grad", 5), ("attention-gradient", 5)])
def test_matrices_of_all_heads_are_not_kept(method, most):
    """Beyond those that the graph itself keeps: one for rollout, whose graph begins in the last layer."""
    seen = []

    class Counts(ViT):
        def answer(self, x):
            seen.append(matrices_alive())
            return super().answer(x)

    net = build(make=Counts, depth=5)
    pellucid.explain(net, images(), method)
    seen.clear()
    gc.collect()
    gc.disable()
    try:
        before = matrices_alive()
        pellucid.explain(net, images(), method)
        assert before <= seen[0] <= before + most
        assert matrices_alive() == before
    finally:
        gc.enable()


def test_fused_attention_is_told_and_other_is_not():
    notes = {how: pellucid.explain(build(how), images(), METHODS[0])[METHODS[0]].notes for how in WRITINGS}
    for how, said in notes.items():
        told = (
            "Attention is fused in 3 of 3 layers, which never form its matrix; this pass computed the matrices itself."
        )
        assert (told in said) == (how in FUSED)
        assert said[0] == "The network sees the picture as 3 x 4 tokens; the map leaves out 1 without a place."


# Awkward habits


class IntoViews(ViT):
    """Writes through a view that it made before its first layer."""

    def forward(self, x):
        x = self.tokens(x)
        out = torch.zeros_like(x)
        patches = out[:, 1:]
        x = self.blocks(x)
        patches += x[:, 1:]
        out[:, :1] += x[:, :1]
        return self.answer(out)


class InPlace(Blocks):
    def between(self, x):
        x += 0.5
        return x.sub_(0.5)


@pytest.mark.parametrize("make", [IntoViews, InPlace])
@pytest.mark.parametrize("how", ["fused", "softmax", "module"])
def test_in_place_operations(make, how):
    image = images()
    for method in METHODS[: 2 if make is IntoViews else 3]:  # a longer batch does not fit into what it writes into
        expected = pellucid.explain(build(how), image, method, 1)[method]
        torch.testing.assert_close(pellucid.explain(build(how, make=make), image, method, 1)[method].raw, expected.raw)


def test_a_network_without_gradient_is_refused():
    class OverItself(ViT):
        def forward(self, x):
            x = self.tokens(x)
            for block in self.blocks:
                x += block.attn(block.norm1(x))
            return self.answer(x)

    with pytest.raises(Refused, match="OverItself has no gradient here: it overwrites in place"):
        pellucid.explain(build(make=OverItself), images(), "attention-rollout")


def test_another_way_from_picture_to_picture_is_refused():
    class Sometimes(ViT):
        def forward(self, x):
            x = self.tokens(x)
            for block in self.blocks if x.abs().max() < 50 else self.blocks[:2]:
                x = block(x)
            return self.answer(x)

    net = build(make=Sometimes)
    with pytest.raises(Refused, match=r"used 2 attention layers for these pictures and 3 for noise"):
        pellucid.explain(net, 1000 * images(), "attention-rollout")


def test_another_count_of_tokens_is_measured_anew():
    class AnySize(ViT):
        def tokens(self, x):
            x = self.patch(x).flatten(2).transpose(1, 2)
            return torch.cat([self.extra.expand(len(x), -1, -1), x], 1)

    net = build(make=AnySize)
    for size, grid in (((12, 16), (3, 4)), ((8, 16), (2, 4)), ((12, 16), (3, 4))):
        got = pellucid.explain(net, images(size=size), "attention-rollout")["attention-rollout"]
        assert got.raw.shape == (2, *grid)


def test_a_target_beside_the_attention_is_an_empty_map():
    class Beside(ViT):
        def forward(self, x):
            return torch.cat([super().forward(x), x.mean((2, 3))], 1)

    for method in METHODS[:2]:
        got = pellucid.explain(build(make=Beside), images(), method, lambda out: out[:, 6])[method]
        assert not got.raw.any()
        assert "zero everywhere" in got.notes[-1]
    with pytest.raises(Refused, match="what follows its last layer depends on the rest of the batch"):
        pellucid.explain(build(make=Beside), images(), "le-grad")
