"""Attention rollout against loops written from the paper, and by hand where attention is known."""

import numpy as np
import pytest
import torch
from nets import close, numbers

import pellucid
from attention_nets import WRITINGS, Twin, ViT, build, images
from pellucid.contracts import Attentions
from pellucid.errors import BadOption, Refused
from pellucid.methods.attention_rollout import attention_rollout

JOIN = {"mean": np.mean, "min": np.min, "max": np.max}


def rollout(net, image, target=0, **options):
    return pellucid.explain(net, image, "attention-rollout", target, options={"attention-rollout": options})[
        "attention-rollout"
    ]


def by_hand(net, picture, read, heads="mean", discard=0.0):
    """Shares of all tokens, the product of full matrices from the first layer up."""
    product = np.eye(net.position.shape[1])
    for matrices in Twin(net, picture).matrices:
        joined = JOIN[heads]([numbers(m) for m in matrices], axis=0)
        order = sorted(np.ndindex(joined.shape), key=lambda at: joined[at])
        for at in order[: int(discard * joined.size)]:
            joined[at] = 0
        joined = joined + np.eye(len(joined))
        product = (joined / joined.sum(1, keepdims=True)) @ product
    return np.mean([product[k] for k in read], axis=0)


def expected(net, image, read, **options):
    patches = slice(net.prefix, net.prefix + 12)
    return np.stack([by_hand(net, picture, read, **options)[patches].reshape(3, 4) for picture in image])


@pytest.mark.parametrize("how", WRITINGS)
def test_against_loops(how):
    net, image = build(how), images()
    got = rollout(net, image)
    close(got.raw, expected(net, image, [0]))
    close(got.extras["elsewhere"] + got.raw.sum((1, 2)), np.ones(2))


@pytest.mark.parametrize("heads", JOIN)
@pytest.mark.parametrize("discard", [0.0, 0.4])
def test_heads_and_discard_against_loops(heads, discard):
    net, image = build(), images()
    close(
        rollout(net, image, heads=heads, discard=discard).raw, expected(net, image, [0], heads=heads, discard=discard)
    )


@pytest.mark.parametrize(
    ("tokens", "read"),
    [
        ({"prefix": 2, "reads": (0, 1)}, [0, 1]),  # a distillation token
        ({"prefix": 5}, [0]),  # registers
        ({"prefix": 0, "reads": "patches"}, range(12)),
        ({"prefix": 3, "reads": "patches"}, range(3, 15)),
        ({"prefix": 0, "behind": 1, "reads": (12,)}, [12]),  # the class token stands last
        ({"prefix": 1, "behind": 2, "cut": "stem"}, [0]),
        ({"cut": "linear"}, [0]),
    ],
)
def test_tokens_are_found_out(tokens, read):
    net, image = build(**tokens), images()
    got = rollout(net, image)
    close(got.raw, expected(net, image, read))
    others = tokens.get("prefix", 1) + tokens.get("behind", 0)
    assert got.notes[0].startswith("The network sees the picture as 3 x 4 tokens")
    assert ("leaves out" in got.notes[0]) == (others > 0)
    assert str(others) in got.notes[0] or not others


def test_a_target_that_reads_one_patch_gets_that_patch_s_row():
    class Patch(ViT):
        def answer(self, x):
            return torch.cat([super().answer(x), self.norm(x)[:, 8]], 1)

    net, image = build(make=Patch), images()
    close(rollout(net, image, 0).raw, expected(net, image, [0]))
    close(rollout(net, image, 6).raw, expected(net, image, [8]))


def attentions(*layers, read=(1, 0, 0, 0, 0), places=((1, 2), (3, 4))):
    layers = tuple(torch.as_tensor(layer, dtype=torch.float64)[None] for layer in layers)
    return Attentions(layers, torch.tensor(places), torch.tensor([read], dtype=torch.float64))


def test_one_layer():
    matrix = torch.rand(5, 5, dtype=torch.float64).softmax(1)
    close(attention_rollout(attentions(matrix)).raw, numbers(matrix[0, 1:].reshape(1, 2, 2)) / 2)


def test_identity_attention_looks_at_itself():
    eye = torch.eye(5)
    got = attention_rollout(attentions(eye, eye, eye))
    assert not got.raw.any()
    assert got.extras["elsewhere"].tolist() == [1.0]
    everywhere = attention_rollout(attentions(eye, eye, read=(0, 1, 1, 1, 1)))
    assert everywhere.raw.tolist() == [[[0.25, 0.25], [0.25, 0.25]]]


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_uniform_attention(depth):
    uniform = torch.full((5, 5), 0.2, dtype=torch.float64)
    got = attention_rollout(attentions(*[uniform] * depth))
    close(got.raw, np.full((1, 2, 2), (1 - 0.5**depth) / 5))
    close(got.extras["elsewhere"], [0.5**depth + (1 - 0.5**depth) / 5])


def test_uniform_attention_of_a_network():
    net = build()
    for block in net.blocks:
        block.attn.qkv.weight.data[:16] = 0  # queries and keys
        block.attn.qkv.bias.data[:16] = 0
    close(rollout(net, images()).raw, np.full((2, 3, 4), (1 - 0.5**3) / 13))


def test_discarding_by_hand():
    matrix = [[0.1, 0.2, 0.3, 0.4], [0.25] * 4, [0.25] * 4, [0.25] * 4]
    given = attentions(matrix, read=(1, 0, 0, 0), places=((1, 2, 3),))
    # 2 of 16 weights go: 0.1 and 0.2; the first row is (1, 0, 0.3, 0.4) / 1.7
    close(attention_rollout(given, discard=0.125).raw, np.array([[[0, 0.3, 0.4]]]) / 1.7)


def test_nothing_read_is_an_empty_map():
    net = build()
    net.head.weight.data[:] = 0
    got = rollout(net, images())
    assert not got.raw.any()
    assert "zero everywhere" in got.notes[-1]


@pytest.mark.parametrize("discard", [-0.1, 1.0])
def test_discard_out_of_range(discard):
    with pytest.raises(BadOption, match="0 <= discard < 1"):
        rollout(build(), images(), discard=discard)


def test_unknown_way_to_join_heads():
    with pytest.raises(BadOption, match="attention-rollout: expected 'mean' or 'min' or 'max' as heads, got 'median'"):
        rollout(build(), images(), heads="median")


def test_refused_in_one_sentence():
    with pytest.raises(Refused, match=r"attention-rollout cannot read this network: there is no skip connection"):
        rollout(build(skip=False), images())
