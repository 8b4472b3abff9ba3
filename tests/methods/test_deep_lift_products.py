"""DeepLIFT on products, quotients, softmax, norms over a sample and attention: by hand, and exactly complete."""

import pytest
import torch
from relevance_nets import seeded
from torch import nn
from torch.nn import functional as F

import pellucid
import tiny
from pellucid.errors import Refused

IMAGE = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
BASELINE = 0.3


def deep_lift(net, image=IMAGE, target=1, baseline=BASELINE):
    return pellucid.explain(net, image, "deep-lift", target, options={"deep-lift": {"baseline": baseline}})["deep-lift"]


def check_completeness(net, image):
    got = deep_lift(net, image)
    with torch.no_grad():
        difference = (net(image) - net(torch.full_like(image, BASELINE)))[:, 1]
    torch.testing.assert_close(got.raw.sum((1, 2, 3)), difference, rtol=1e-9, atol=1e-10)
    return got


class Inside(nn.Module):
    """dense, something, dense: 12 pixels to 5 values and back to 2 scores."""

    def __init__(self, function):
        super().__init__()
        self.below, self.other, self.above = nn.Linear(12, 5), nn.Linear(12, 5), nn.Linear(5, 2)
        self.function = function

    def values(self, x):
        return self.below(x.flatten(1)), self.other(x.flatten(1))

    def forward(self, x):
        return self.above(self.function(*self.values(x)))

    def ends(self):
        """Both values of the picture, those of the baseline, and the multipliers of the last layer."""
        with torch.no_grad():
            here, there = self.values(IMAGE), self.values(torch.full_like(IMAGE, BASELINE))
        return [t[0] for t in here], [t[0] for t in there], self.above.weight.detach()[1]

    def contributions(self, *multipliers):
        """From the multipliers of `below` and `other` to the pixels."""
        layers = (self.below, self.other)
        sent = sum(m @ part.weight.detach() for m, part in zip(multipliers, layers, strict=False))
        return (IMAGE - BASELINE) * sent.reshape(IMAGE.shape)


PRODUCTS = {
    "product": torch.mul,
    "method": lambda a, b: a.mul(b),
    "in place": lambda a, b: a.clone().mul_(b),
    "einsum": lambda a, b: torch.einsum("nk,nk->nk", a, b),
    "matrix product": lambda a, b: (a[:, :, None, None] @ b[:, :, None, None])[:, :, 0, 0],
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_product_by_hand(product):
    net = seeded(lambda: Inside(PRODUCTS[product]))
    (a, b), (a0, b0), m = net.ends()
    torch.testing.assert_close(deep_lift(net).raw, net.contributions(m * (b + b0) / 2, m * (a + a0) / 2))
    check_completeness(net, IMAGE)


QUOTIENTS = {
    "quotient": lambda a, b: a / b.exp(),
    "in place": lambda a, b: a.clone().div_(b.exp()),
    "product with a reciprocal": lambda a, b: a * b.exp().reciprocal(),
    "product with a power": lambda a, b: b.exp() ** -1 * a,
    "product with a root": lambda a, b: (2 * b).exp().rsqrt() * a,
}


@pytest.mark.parametrize("quotient", QUOTIENTS)
def test_quotient_by_hand(quotient):
    net = seeded(lambda: Inside(QUOTIENTS[quotient]))
    (a, b), (a0, b0), m = net.ends()
    y, y0, e, e0 = a / b.exp(), a0 / b0.exp(), b.exp(), b0.exp()
    # a = y e: da = mean(y) de + mean(e) dy, so dy = (da - mean(y) de) / mean(e), and de / db is that of the exponential
    of_e = -m * (y + y0) / (e + e0)
    torch.testing.assert_close(deep_lift(net).raw, net.contributions(m * 2 / (e + e0), of_e * (e - e0) / (b - b0)))


def test_quotient_whose_denominator_changes_sign_by_hand():
    """Half-way the denominator may be 0, so here the factors are a and 1 / b."""
    net = seeded(lambda: Inside(lambda a, b: a / b))
    (a, b), (a0, b0), m = net.ends()
    assert (b.sign() != b0.sign()).any() and (b.sign() == b0.sign()).any()
    factors = (1 / b + 1 / b0) / 2, (a + a0) / 2 * (1 / b - 1 / b0) / (b - b0)
    quotient = 2 / (b + b0), -(a / b + a0 / b0) / (b + b0)
    of_a, of_b = (m * torch.where(b * b0 < 0, f, q) for f, q in zip(factors, quotient, strict=True))
    torch.testing.assert_close(deep_lift(net).raw, net.contributions(of_a, of_b))
    check_completeness(net, IMAGE)


def log_mean(s, t):
    """The mean L with L(s, t) d(ln s) = ds for every step from t to s."""
    return (s - t) / (s.log() - t.log())


def softmax_multipliers(z, z0, m):
    """m_z of softmax(z) = exp(z - log sum exp z), every step by the rescale rule: exp, sum, log, exp."""
    p, p0 = z.exp() / z.exp().sum(), z0.exp() / z0.exp().sum()
    of_difference = m * log_mean(p, p0)  # of z - l, behind which stands the exponential
    of_total = -of_difference.sum() / log_mean(z.exp().sum(), z0.exp().sum())
    return of_difference + of_total * log_mean(z.exp(), z0.exp())


SOFTMAXES = {
    "method": lambda a, _: a.softmax(1),
    "function": lambda a, _: F.softmax(a, dim=-1),
    "torch's own": lambda a, _: torch.softmax(a, -1, dtype=torch.float64),
}


@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_softmax_by_hand(softmax):
    net = seeded(lambda: Inside(SOFTMAXES[softmax]))
    (z, _), (z0, _), m = net.ends()
    torch.testing.assert_close(deep_lift(net).raw, net.contributions(softmax_multipliers(z, z0, m)))
    check_completeness(net, IMAGE)


def test_logarithm_of_softmax():
    check_completeness(seeded(lambda: Inside(lambda a, b: F.log_softmax(a, 1))), IMAGE)


def test_probability_as_a_target():
    net = seeded(lambda: Inside(torch.mul))
    got = deep_lift(net, target=pellucid.targets.Probability((1,)))
    with torch.no_grad():
        chances = [net(x).softmax(1)[0, 1] for x in (IMAGE, torch.full_like(IMAGE, BASELINE))]
    assert float(got.raw.sum()) == pytest.approx(float(chances[0] - chances[1]))


def test_layer_norm_by_hand():
    net = seeded(lambda: Inside(lambda a, _: F.layer_norm(a, (5,), torch.arange(5.0).double() + 1, None, 1e-3)))
    (x, _), (x0, _), m = net.ends()
    m = m * (torch.arange(5.0) + 1)
    g, g0 = x - x.mean(), x0 - x0.mean()
    s, s0 = ((g**2).mean() + 1e-3).sqrt(), ((g0**2).mean() + 1e-3).sqrt()
    # y = g / s with dy = (dg - mean(y) ds) / mean(s), and ds = dv / (s + s0) with dv = sum (g + g0) dg / 5
    of_s = -(m * (g / s + g0 / s0)).sum() / (s + s0)
    of_g = m * 2 / (s + s0) + of_s * (g + g0) / 5 / (s + s0)
    torch.testing.assert_close(deep_lift(net).raw, net.contributions(of_g - of_g.mean()))


class Tokens(nn.Module):
    """dense, something, dense, on four tokens of width 4."""

    def __init__(self, inside):
        super().__init__()
        self.below, self.inside, self.above = nn.Linear(3, 4), inside, nn.Linear(16, 2)

    def forward(self, x):
        return self.above(self.inside(self.below(x.flatten(2).transpose(1, 2))).flatten(1))


class Attention(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how, self.part = how, nn.MultiheadAttention(4, 2, batch_first=True)
        self.mask = torch.tensor([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1]]).bool()

    def forward(self, x):
        if self.how == "torch's own":
            return self.part(x, x, x, need_weights=False)[0]
        q, k, v = F.linear(x, self.part.in_proj_weight, self.part.in_proj_bias).unflatten(-1, (6, 2)).chunk(3, -2)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        if self.how in ("fused", "masked"):
            mixed = F.scaled_dot_product_attention(q, k, v, self.mask if self.how == "masked" else None)
        else:
            weights = (q @ k.transpose(-2, -1) / 2**0.5).softmax(-1)
            mixed = torch.einsum("bhij,bhjd->bhid", weights, v) if self.how == "einsum" else weights @ v
        return self.part.out_proj(mixed.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("how", ["in steps", "torch's own", "fused", "einsum"])
def test_attention_is_the_same_however_it_is_written(how):
    expected = check_completeness(seeded(lambda: Tokens(Attention("in steps"))), tiny.images(2, size=(2, 2)))
    got = check_completeness(seeded(lambda: Tokens(Attention(how))), tiny.images(2, size=(2, 2)))
    torch.testing.assert_close(got.raw, expected.raw)


@pytest.mark.parametrize(
    "inside",
    [
        nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4, affine=True), nn.RMSNorm(4), Attention("masked"),
        nn.Sequential(nn.LayerNorm(4), nn.GELU(), nn.Softmax(-1)),
    ],
)  # fmt: skip
def test_completeness(inside):
    check_completeness(seeded(lambda: Tokens(inside)), tiny.images(2, size=(2, 2)))


@pytest.mark.parametrize("make", [tiny.Gate, tiny.Tokens, tiny.ChannelsLast])
def test_completeness_of_small_networks(make):
    check_completeness(tiny.build(make), tiny.images(2))


FUNCTIONS = {
    "exp": torch.exp, "exp in place": lambda a: a.clone().exp_(), "pow": lambda a: a**3, "abs": torch.abs,
    "sin": torch.sin, "clamp": lambda a: a.clamp(-1, 0.5), "square": torch.square,
}  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_of_one_value(function):
    net = seeded(lambda: Inside(lambda a, _: FUNCTIONS[function](a)))
    (a, _), (a0, _), m = net.ends()
    quotient = (FUNCTIONS[function](a) - FUNCTIONS[function](a0)) / (a - a0)
    torch.testing.assert_close(deep_lift(net).raw, net.contributions(m * quotient))


def test_a_product_whose_rows_are_no_pairs_is_refused():
    net = seeded(lambda: Inside(lambda a, b: a * b.mean(0)))
    with pytest.raises(Refused, match="pictures of a batch influence each other"):
        deep_lift(net)
