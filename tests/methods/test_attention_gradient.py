"""Gradient-weighted attention against loops written from the paper, and one layer by hand."""

import numpy as np
import pytest
import torch
from nets import close, numbers
from torch import nn

import pellucid
from attention_nets import WRITINGS, Twin, build, images
from pellucid.contracts import Attentions
from pellucid.errors import Refused
from pellucid.methods.attention_gradient import attention_gradient


def explain(net, image, target):
    return pellucid.explain(net, image, "attention-gradient", target)["attention-gradient"]


def by_hand(net, picture, target, read):
    """R, from the first layer up."""
    twin = Twin(net, picture)
    relevance = np.eye(net.position.shape[1])
    gradients = twin.gradients(twin.scores[target])
    for matrices, slopes in zip(twin.matrices, gradients, strict=True):
        evidence = [np.maximum(numbers(m) * numbers(g), 0) for m, g in zip(matrices, slopes, strict=True)]
        relevance = relevance + np.mean(evidence, axis=0) @ relevance
    rows = (relevance - np.eye(len(relevance)))[list(read)].mean(0)
    return rows[net.prefix : net.prefix + 12].reshape(3, 4)


@pytest.mark.parametrize("how", WRITINGS)
def test_against_loops(how):
    net, image, targets = build(how), images(), [3, 1]
    expected = np.stack([by_hand(net, p, t, [0]) for p, t in zip(image, targets, strict=True)])
    close(explain(net, image, targets).raw, expected)
    assert expected.max() > 0


@pytest.mark.parametrize(
    ("tokens", "read"),
    [
        ({"prefix": 2, "reads": (0, 1)}, [0, 1]),
        ({"prefix": 3, "reads": "patches"}, range(3, 15)),
        ({"prefix": 0, "behind": 1, "reads": (12,)}, [12]),
        ({"cut": "linear", "prefix": 4}, [0]),
    ],
)
def test_tokens_are_found_out(tokens, read):
    net, image = build(**tokens), images()
    expected = np.stack([by_hand(net, p, 2, read) for p in image])
    close(explain(net, image, 2).raw, expected)


class OneLayer(nn.Module):
    """score_c = w_c . (class token + sum_j A_0j v_j): two heads of one number each, values read off the picture."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(1, 2, 1, bias=False)
        self.first = nn.Parameter(torch.tensor([[[0.3, -0.2]]]))
        self.head = nn.Linear(2, 2, bias=False)
        self.cut.weight.data = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
        self.head.weight.data = torch.tensor([[1.0, -1.0], [0.5, 2.0]])

    def forward(self, x):
        tokens = torch.cat([self.first.expand(len(x), -1, -1), self.cut(x).flatten(2).transpose(1, 2)], 1)
        heads = tokens.transpose(1, 2)[..., None]  # [batch, head, token, 1]
        mixed = nn.functional.scaled_dot_product_attention(heads, heads, heads)
        return self.head((tokens + mixed[..., 0].transpose(1, 2))[:, 0])


def test_one_layer_by_hand():
    net, image = OneLayer().double(), torch.tensor([[[[1.0, -1.0], [0.5, 2.0]]]], dtype=torch.float64)
    pixels = np.array([1.0, -1.0, 0.5, 2.0])
    for target, weights in ((0, (1.0, -1.0)), (1, (0.5, 2.0))):
        total = np.zeros(4)
        for first, scale, w in ((0.3, 1.0, weights[0]), (-0.2, 2.0, weights[1])):
            values = np.array([first, *(scale * pixels)])
            attention = np.exp(first * values) / np.exp(first * values).sum()  # the class token's row
            total += np.maximum(attention * w * values, 0)[1:] / 2  # d score / d A_0j = w v_j
        close(explain(net, image, target).raw, total.reshape(1, 2, 2), rtol=1e-6)  # weights were float32


def test_two_layers_by_hand():
    first, second = torch.rand(2, 1, 3, 3, dtype=torch.float64)
    given = Attentions((first, second), torch.tensor([[1, 2]]), torch.tensor([[1.0, 0, 0]], dtype=torch.float64))
    full = (torch.eye(3) + second[0]) @ (torch.eye(3) + first[0])
    close(attention_gradient(given).raw, numbers(full[0, 1:])[None, None])


def test_small_evidence_beside_a_large_share_is_not_lost():
    tiny = torch.full((1, 3, 3), 1e-12)
    given = Attentions((tiny, tiny), torch.tensor([[0, 1, 2]]), torch.ones(1, 3))
    close(attention_gradient(given).raw, np.full((1, 1, 3), 2e-12), rtol=1e-5, atol=0)


def test_proportional_to_the_score_in_one_layer_and_never_negative():
    net, image = build(depth=1), images()
    one, four = (explain(net, image, lambda out, f=factor: f * out[:, 1]).raw for factor in (1, 4))
    close(four, 4 * numbers(one))
    assert bool((one >= 0).all())


def test_of_two_classes_each_has_its_own():
    net, image = build(), images()
    assert (explain(net, image, 0).raw - explain(net, image, 1).raw).abs().max() > 1e-3 * explain(
        net, image, 0
    ).raw.max()


def test_a_score_without_influence_is_an_empty_map():
    net = build()
    net.head.weight.data[:] = 0
    got = explain(net, images(), 0)
    assert not got.raw.any()
    assert "zero everywhere" in got.notes[-1]


def test_refused_without_attention():
    net = nn.Sequential(nn.Conv2d(3, 2, 4, 4), nn.Flatten(), nn.Linear(24, 5)).double()
    with pytest.raises(Refused, match=r"^attention-gradient cannot read this network: it has no attention layer"):
        explain(net, images(), 0)
