"""LRP on gates, norms over a sample, attention and products: by hand, and however they are written."""

import numpy as np
import pytest
import torch
from relevance_nets import hand_down, seeded, size_of
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from pellucid.errors import Refused

IMAGE = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def lrp(net, image=IMAGE, target=None, **options):
    return pellucid.explain(net, image, "lrp", target, options={"lrp": {"composite": "epsilon", **options}})["lrp"]


def near(a, b, tolerance=1e-9):
    a, b = torch.as_tensor(a).detach(), torch.as_tensor(b).detach()
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())


def dense(layer, x, relevance):
    return hand_down("epsilon", x, layer.weight.detach().numpy(), layer.bias.detach().numpy(), relevance)


class Between(nn.Module):
    """dense, something, dense; `forward` of 12 pixels as four tokens of width 3."""

    def __init__(self, inside, width=3):
        super().__init__()
        self.below, self.inside, self.above = nn.Linear(3, width), inside, nn.Linear(12, 2)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        return self.above(self.inside(self.below(tokens)).flatten(1))


def by_hand(net, hand, target=1):
    """What arrives when `hand(tokens, relevance)` says how `inside` hands relevance down; one picture."""
    tokens = IMAGE[0].flatten(1).T
    y = net.below(tokens)
    z = net.inside(y[None])[0].flatten().detach().numpy()
    score = net(IMAGE[:1])[0, target].detach().numpy()
    top, b = net.above.weight.detach().numpy()[[target]], net.above.bias.detach().numpy()[[target]]
    middle = hand(y.detach().numpy(), hand_down("epsilon", z, top, b, score[None], size_of(net.above, z)).reshape(4, 3))
    below = np.stack([dense(net.below, x, r) for x, r in zip(tokens.numpy(), middle, strict=True)])
    return torch.from_numpy(below).T.reshape(IMAGE[:1].shape)


def check(inside, hand, width=3):
    net = seeded(lambda: Between(inside, width))
    near(lrp(net, IMAGE[:1], 1).raw, by_hand(net, hand))


# Gates


class Gated(nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def forward(self, x):
        return self.gate(x, x.flip(-1))


GATES = {
    "sigmoid": lambda x, g: x * torch.sigmoid(g),
    "the gate first": lambda x, g: g.sigmoid() * x,
    "scaled": lambda x, g: x * (2 * torch.sigmoid(g)),
    "hard": lambda x, g: x * F.hardsigmoid(g),
    "hard by hand": lambda x, g: x * (F.relu6(g + 3) / 6),
    "in place": lambda x, g: torch.Tensor.mul_(x.clone(), g.sigmoid()),
    "one for all": lambda x, g: x * g.mean(-1, keepdim=True).sigmoid(),
    "swish by hand": lambda x, g: x * x.sigmoid(),
    "of two sigmoids": lambda x, g: x.tanh() * g.sigmoid(),
}


@pytest.mark.parametrize("gate", GATES)
def test_all_to_the_feature_and_none_to_its_gate(gate):
    check(Gated(GATES[gate]), lambda x, r: r)


def test_a_gate_that_multiplies_maps():
    class Squeeze(tiny.Gate):
        def forward(self, x):
            y = F.relu(self.conv(x))
            return self.fc((y * self.weight(y)).mean((2, 3)))

        def weight(self, y):
            return torch.sigmoid(self.squeeze(y.mean((2, 3), keepdim=True)))

    net, image = tiny.build(Squeeze), tiny.images(1)
    got = lrp(net, image)
    constant = net.weight(F.relu(net.conv(image))).detach()
    net.weight = lambda y: constant
    near(got.raw, lrp(net, image).raw)
    assert got.notes == ("Held constant: gates.",)


def test_a_gate_that_is_written_into_is_refused():
    with pytest.raises(Refused, match="a product of two values"):
        lrp(seeded(lambda: Between(Gated(lambda x, g: g.sigmoid().mul_(x)))))


def test_excitation_backprop_takes_a_gate_for_a_weight():
    net, image = tiny.build(tiny.Gate), tiny.images(1)
    got = pellucid.explain(net, image, "excitation-backprop", layer="conv")["excitation-backprop"]
    assert bool((got.raw >= 0).all())
    assert float(got.raw.sum()) <= 1 + 1e-9


# Products of two features


class Product(nn.Module):
    def __init__(self, product):
        super().__init__()
        self.left, self.right, self.top = nn.Linear(12, 4), nn.Linear(12, 4), nn.Linear(4, 2)
        self.product = product

    def forward(self, x):
        return self.top(self.product(self.left(x.flatten(1)), self.right(x.flatten(1))))


@pytest.mark.parametrize("product", [torch.mul, lambda a, b: a.tanh() * b, lambda a, b: a.relu() * -b])
def test_half_to_each_of_two_features(product):
    net = seeded(lambda: Product(product))
    x = IMAGE[0].flatten()
    y = product(net.left(x), net.right(x)).detach().numpy()
    score = net(IMAGE[:1])[0, :1].detach().numpy()
    half = hand_down("epsilon", y, net.top.weight.detach().numpy()[:1], net.top.bias.detach().numpy()[:1], score) / 2
    expected = dense(net.left, x.numpy(), half) + dense(net.right, x.numpy(), half)
    near(lrp(net, IMAGE[:1], 0).raw.flatten(), expected, 1e-5)


# Norms over a sample


def normalised(x, weight, bias, eps, centred=True):
    """Norm of a vector x as matrix and bias, what it divides by held constant."""
    n = len(x)
    centre = np.eye(n) - centred / n
    return np.diag(weight) @ centre / np.sqrt(np.square(centre @ x).mean() + eps), bias


class Norm(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.weight, self.bias = kind, nn.Parameter(torch.rand(3) + 0.5), nn.Parameter(torch.randn(3))

    def forward(self, x):
        if self.kind == "layer":
            return F.layer_norm(x, (3,), self.weight, self.bias, 1e-3)
        if self.kind == "layer, torch's own":
            return torch.layer_norm(x, (3,), self.weight, self.bias, 1e-3)
        if self.kind == "layer, by hand":
            d = x - x.mean(-1, keepdim=True)
            return d / ((d * d).mean(-1, keepdim=True) + 1e-3).sqrt() * self.weight + self.bias
        return F.rms_norm(x, (3,), self.weight, 1e-3)


@pytest.mark.parametrize("kind", ["layer", "layer, torch's own", "layer, by hand", "root mean square"])
def test_norm_of_each_token(kind):
    net = seeded(lambda: Between(Norm(kind)))
    weight, bias = net.inside.weight.detach().numpy(), net.inside.bias.detach().numpy()
    centred = kind != "root mean square"

    def hand(x, r):
        maps = [normalised(row, weight, bias if centred else 0 * bias, 1e-3, centred) for row in x]
        return np.stack([hand_down("epsilon", a, *m, b) for a, m, b in zip(x, maps, r, strict=True)])

    got = lrp(net, IMAGE[:1], 1)
    near(got.raw, by_hand(net, hand), 1e-3 if "hand" in kind else 1e-9)  # by hand, each step has its stabiliser
    if "hand" not in kind:
        assert got.notes == ("Held constant: the spread in layer norm and its kin.",)


@pytest.mark.parametrize("kind", ["group", "instance"])
def test_norm_of_groups_of_channels(kind):
    groups = 2 if kind == "group" else 4
    norm = nn.GroupNorm(2, 4) if kind == "group" else nn.InstanceNorm1d(4, affine=True)
    net = seeded(lambda: Between(norm))
    net.inside.weight.data = torch.tensor([0.5, 1.5, -1.0, 2.0]).double()
    net.inside.bias.data = torch.tensor([0.5, -0.5, 0.1, 0.2]).double()
    weight, bias = (t.detach().repeat_interleave(3).numpy().reshape(groups, -1) for t in net.inside.parameters())

    def hand(x, r):
        parts = zip(x.reshape(groups, -1), r.reshape(groups, -1), weight, bias, strict=True)
        return np.stack([hand_down("epsilon", a, *normalised(a, w, b, 1e-5), q) for a, q, w, b in parts]).reshape(4, 3)

    near(lrp(net, IMAGE[:1], 1).raw, by_hand(net, hand), 1e-5)  # stabilisers by rows of the map, not by groups


def test_relevance_is_conserved_by_norms_without_bias():
    net = seeded(lambda: Between(nn.LayerNorm(3)))
    for part in (net.below, net.above):
        part.bias.data.zero_()
    got = lrp(net, epsilon=1e-9)
    assert got.extras["gap"].abs().max() < 1e-4 * net(IMAGE).amax(1).abs().min()


# Attention


class Attention(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how, self.q, self.k, self.v = how, nn.Linear(3, 6), nn.Linear(3, 6), nn.Linear(3, 6)
        self.out = nn.Linear(6, 3)

    def heads(self, x):
        """Two heads of width 3, `[n, head, token, feature]`."""
        return (part(x).unflatten(-1, (2, 3)).transpose(1, 2) for part in (self.q, self.k, self.v))

    def weights(self, x):
        q, k, _ = self.heads(x)
        return (q @ k.transpose(-2, -1) / 3**0.5).softmax(-1)

    def attend(self, x):
        q, k, v = self.heads(x)
        if self.how == "fused":
            return F.scaled_dot_product_attention(q, k, v)
        scores = q @ k.transpose(-2, -1) / 3**0.5
        if self.how == "einsum":
            return torch.einsum("bhij,bhjd->bhid", F.softmax(scores, dim=-1), v)
        if self.how == "bmm":
            return torch.bmm(scores.flatten(0, 1).softmax(-1), v.flatten(0, 1)).unflatten(0, (-1, 2))
        if self.how == "turned":  # the weights stand on the right
            return (v.transpose(-2, -1) @ torch.softmax(scores, -1).transpose(-2, -1)).transpose(-2, -1)
        return F.dropout(scores.softmax(-1), 0.0, False) @ v

    def forward(self, x):
        return self.out(self.attend(x).transpose(1, 2).flatten(2))


HOW = ("in steps", "fused", "einsum", "bmm", "turned")


@pytest.mark.parametrize("how", HOW)
def test_attention_is_a_mean_of_values_with_constant_weights(how):
    net = seeded(lambda: Between(Attention(how)))
    part = net.inside

    def hand(x, r):
        row = torch.from_numpy(x)[None]
        weights = part.weights(row)[0].detach().numpy()
        values = part.v(row)[0].detach().numpy()
        mixed = np.concatenate([weights[h] @ values[:, 3 * h : 3 * h + 3] for h in (0, 1)], 1)
        r = np.stack([dense(part.out, a, b) for a, b in zip(mixed, r, strict=True)])
        columns = [hand_down("epsilon", values[:, c], weights[c // 3], np.zeros(4), r[:, c]) for c in range(6)]
        return np.stack([dense(part.v, a, b) for a, b in zip(x, np.stack(columns, 1), strict=True)])

    got = lrp(net, IMAGE[:1], 1)
    near(got.raw, by_hand(net, hand), 1e-5)  # stabilisers by head and token, not by column
    assert got.notes == ("Held constant: attention weights.",)


class MultiHead(nn.Module):
    """torch's own attention, or the same in steps."""

    def __init__(self, *, own, weights=False):
        super().__init__()
        self.part, self.own, self.weights = nn.MultiheadAttention(4, 2, batch_first=True), own, weights
        self.up, self.down = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x):
        x = self.up(x)
        if self.own:
            return self.down(self.part(x, x, x, need_weights=self.weights)[0])
        q, k, v = F.linear(x, self.part.in_proj_weight, self.part.in_proj_bias).unflatten(-1, (6, 2)).chunk(3, -2)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        mixed = (q @ k.transpose(-2, -1) / 2**0.5).softmax(-1) @ v
        return self.down(self.part.out_proj(mixed.transpose(1, 2).flatten(2)))


@pytest.mark.parametrize("weights", [False, True])
def test_torchs_own_module_is_what_it_computes(weights):
    expected = lrp(seeded(lambda: Between(MultiHead(own=False))))
    near(lrp(seeded(lambda: Between(MultiHead(own=True, weights=weights)))).raw, expected.raw, 1e-6)


def test_small_transformer():
    got = lrp(tiny.build(tiny.Tokens), tiny.images(), composite="epsilon-plus")
    assert bool((got.values != 0).flatten(1).any(1).all())
    assert got.notes == (
        "As ReLU does, gelu passed relevance on unchanged.",
        "Held constant: attention weights, the spread in layer norm and its kin.",
    )


# The pieces


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.3},
        {"is_causal": True},
        {"attn_mask": torch.tensor([[True, False, True], [True, True, False]])},
        {"attn_mask": torch.tensor([[0.5, -1.0, 2.0], [0.0, 1.0, -3.0]], dtype=torch.float64)},
        {"enable_gqa": True},
    ],
)
def test_attention_weights_are_those_of_the_fused_operation(options):
    from pellucid.capture.operators import attend, attention_weights

    draw = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, 2, 5, generator=draw, dtype=torch.float64)
    k, v = torch.randn(2, 2, 2 if options.get("enable_gqa") else 4, 3, 5, generator=draw, dtype=torch.float64)
    weights = attention_weights(q, k, v, **options)
    torch.testing.assert_close(attend(weights, v), F.scaled_dot_product_attention(q, k, v, **options))
