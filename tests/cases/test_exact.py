"""Sums that must hold: DeepLIFT's, each by a value derived apart from the package."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
from pellucid.errors import Refused


def explain(net, image, method, target=None, **options):
    return pellucid.explain(net, image, method, target, options={method: options})[method]


def scores(net, *images, target=1):
    with torch.no_grad():
        return [net(image)[:, target] for image in images]


# P1 DeepLIFT through softmax


def logits(scale):
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    net[1].weight.data = scale * torch.eye(3, 4)
    return net


def by_logarithms(z, z0, of):
    """Contributions of z to softmax(z)[of] from ln L(s, t) alone, digit by digit in Python's own numbers.

    p = exp(z - ln sum exp z), each step by the rescale rule (arXiv:1704.02685, section 3.5.1), whose multiplier for
    exp is the logarithmic mean L of both values and for the logarithm of a sum 1 / L of both sums.
    """
    z, z0 = (t.double() for t in (z, z0))
    total, total0 = z.logsumexp(0), z0.logsumexp(0)

    def mean(a, b):
        return a.exp() if a == b else (a.exp() - b.exp()) / (a - b)

    of_difference = mean(z[of] - total, z0[of] - total0)
    weights = torch.stack([mean(a - total, b - total) for a, b in zip(z, z0, strict=True)])
    of_z = -of_difference * weights / mean(total * 0, total0 - total)
    of_z[of] += of_difference
    return of_z * (z - z0)


@pytest.mark.parametrize("scale", [1.0, 20.0, 600.0])
def test_p1_deep_lift_through_softmax_is_bounded_and_complete(scale):
    image = torch.tensor([1.0, 0.9, 0.5, 0.2]).reshape(1, 1, 2, 2)
    found = explain(logits(scale), image, "deep-lift", pellucid.Probability(0))
    expected = by_logarithms(scale * image.flatten()[:3], torch.zeros(3), 0)
    torch.testing.assert_close(found.raw.flatten()[:3].double(), expected, rtol=3e-4, atol=3e-6)
    difference = (scale * image.flatten()[:3]).softmax(0)[0] - 1 / 3
    torch.testing.assert_close(found.raw.sum().float(), difference, rtol=3e-4, atol=0)
    # |m| <= L(p, p0) <= 1 for a probability, so no contribution is larger than the logit's own difference
    assert bool((found.raw.flatten()[:3].abs() <= scale * image.flatten()[:3]).all())
    if scale == 20:
        assert found.raw.flatten()[:2].tolist() == pytest.approx([1.8257, -1.2779], abs=1e-4)


class Attention(nn.Module):
    """One head whose logits are as large as those of trained transformers."""

    def __init__(self, scale, dtype):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.below, self.above = nn.Linear(3, 12, dtype=dtype), nn.Linear(16, 3, dtype=dtype)
        self.scale = scale

    def forward(self, x):
        q, k, v = self.below(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        return self.above((((q @ k.transpose(1, 2)) * self.scale).softmax(-1) @ v).flatten(1))


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_p1_attention_with_large_logits(scale, dtype):
    net = Attention(scale, dtype)
    image = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = explain(net, image, "deep-lift", 1)
    here, there = scores(net.double(), image.double(), 0 * image.double())
    torch.testing.assert_close(found.raw.double().sum((1, 2, 3)), here - there, rtol=1e-3, atol=1e-6)
    assert float(found.raw.abs().max()) < 10 * scale  # of the order of the logits, which the product moves


# F6, S4: what the sum is compared with


class Inside(nn.Module):
    def __init__(self, function):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            self.a, self.b, self.h = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 2, 1), nn.Linear(8, 5)
        self.function = function

    def forward(self, x):
        return self.h(self.b(self.function(self.a(x))).relu().mean((2, 3)))


IMAGE = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def numbers(t):
    return torch.tensor([row.abs().mean().item() for row in t], dtype=t.dtype).reshape(-1, 1, 1, 1)


def half_by_numpy(t):
    return t + 0.3 * torch.from_numpy(t.detach().numpy().copy())


HIDDEN = {
    "a mask": lambda t: t * (t > 0),
    "detach": lambda t: t + 0.3 * t.detach(),
    "data": lambda t: t + 0.3 * t.data,
    "item": lambda t: t * numbers(t),
    "numpy": half_by_numpy,
    "a threshold": lambda t: t * (t > t.mean()),
    "y * 0.2 + y.detach()": lambda t: t * 0.2 + t.detach(),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_f6_s4_deep_lift_refuses_what_the_graph_does_not_see(how):
    with pytest.raises(Refused, match=r"misses the difference of the scores.*hides"):
        explain(Inside(HIDDEN[how]).eval(), IMAGE, "deep-lift", 1)


def test_f6_layer_norm_behind_small_weights():
    """Where the baseline has no spread, eps = 1e-12 makes the slope 1e6 there; S(I) - S(B) is small."""
    net = Inside(lambda t: F.layer_norm(t.permute(0, 2, 3, 1), (8,), eps=1e-12).permute(0, 3, 1, 2)).eval()
    net.a.weight.data *= 1e-3
    net.a.bias.data.zero_()
    found = explain(net, IMAGE, "deep-lift", 1)
    here, there = scores(net, IMAGE, 0 * IMAGE)
    torch.testing.assert_close(found.raw.sum((1, 2, 3)), here - there, rtol=1e-3, atol=0)
    assert float(found.raw.abs().sum()) < 100  # it was 1e7


@pytest.mark.parametrize("norm", ["by hand", "root mean square"])
def test_f6_norms_by_hand_are_bounded_too(norm):
    def function(t):
        centred = t - t.mean(1, keepdim=True) if norm == "by hand" else t
        spread = centred.square().mean(1, keepdim=True) + 1e-12
        return centred / spread.sqrt() if norm == "by hand" else centred * torch.rsqrt(spread)

    net = Inside(function).eval()
    net.a.weight.data *= 1e-3
    net.a.bias.data.zero_()
    found = explain(net, IMAGE, "deep-lift", 1)
    here, there = scores(net, IMAGE, 0 * IMAGE)
    torch.testing.assert_close(found.raw.sum((1, 2, 3)), here - there, rtol=1e-3, atol=0)
    assert float(found.raw.abs().sum()) < 100


def test_f6_what_rounding_spoils_is_repeated_in_float64():
    """1e4 is added and taken away, so float32 keeps three digits of the values: eps = 1e-7 x 1e4 = 1e-3."""
    net = Inside(lambda t: (t.exp() * 1e4 + 1e8) * 1e-4 - 1e4).eval()
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    found = explain(net, IMAGE, "deep-lift", 1)
    assert found.notes[0].startswith("Computed in float64")
    here, there = scores(net.double(), IMAGE.double(), 0 * IMAGE.double())
    torch.testing.assert_close(found.raw.sum((1, 2, 3)), here - there, rtol=1e-6, atol=0)
    assert all(torch.equal(value, net.float().state_dict()[name]) for name, value in kept.items())


@pytest.mark.parametrize("method", ["deep-lift", "deep-lift-shap"])
@pytest.mark.parametrize("scale", [1e-3, 1e-6])
def test_s4_tiny_logits_are_not_refused(method, scale):
    net = Inside(torch.tanh).eval()
    for part in (net.a, net.b, net.h):
        part.weight.data *= scale
        part.bias.data.zero_()
    found = explain(net, IMAGE, method, 1)
    assert float(found.raw.abs().sum()) > 0
    total = found.raw.sum((1, 2, 3)) + found.extras["gap"]
    torch.testing.assert_close(found.raw.sum((1, 2, 3)), total, rtol=1e-3, atol=0)


# P6 max pooling along one and three axes


class Folded(nn.Module):
    """A picture as a row of values, or as a block."""

    def __init__(self, pool, shape):
        super().__init__()
        self.pool, self.shape = pool, shape

    def forward(self, x):
        return self.pool(x.reshape(len(x), 1, *self.shape)).flatten(1)


POOLS = {
    "1-D": (nn.MaxPool1d(2), (8,)),
    "function": (lambda t: F.max_pool1d(t, kernel_size=2), (8,)),
    "torch's own": (lambda t: torch.max_pool1d(t, 2), (8,)),
    "adaptive 1-D": (nn.AdaptiveMaxPool1d(4), (8,)),
    "adaptive 2-D": (nn.AdaptiveMaxPool2d((2, 2)), (2, 4)),
    "3-D": (nn.MaxPool3d((1, 1, 2)), (2, 2, 2)),
    "adaptive 3-D": (nn.AdaptiveMaxPool3d((2, 2, 1)), (2, 2, 2)),
}


@pytest.mark.parametrize("how", POOLS)
def test_p6_max_pooling_along_any_number_of_axes(how):
    """Pairs (1, 4), (2, 3), (0, -9), (-5, -6). Baseline 2: the pair's maxima are 2; winners 4, 3, 2 (baseline), 2.

    The last two: the baseline's maximum is larger, its own winner (the first of equals) answers: 0 - 2, -5 - 2.
    """
    image = torch.tensor([1.0, 4.0, 2.0, 3.0, 0.0, -9.0, -5.0, -6.0]).reshape(1, 1, 2, 4)
    expected = ([0, 2, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0], [0] * 4 + [-2, 0, 0, 0], [0] * 6 + [-7, 0])
    net = Folded(*POOLS[how])
    for k, wanted in enumerate(expected):
        assert explain(net, image, "deep-lift", k, baseline=2.0).raw.flatten().tolist() == wanted
