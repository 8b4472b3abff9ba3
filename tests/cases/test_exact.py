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
    "a threshold": lambda t: t * (t > t.mean((1, 2, 3), keepdim=True)),
    "y * 0.2 + y.detach()": lambda t: t * 0.2 + t.detach(),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_f6_s4_deep_lift_refuses_what_the_graph_does_not_see(how):
    """Values that Python reads are met before the sum is: other pictures of the batch may change them."""
    why = "chooses its way by values" if how in ("item", "numpy") else r"misses the difference of the scores.*hides"
    with pytest.raises(Refused, match=why):
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
    torch.testing.assert_close(found.raw.double().sum((1, 2, 3)), here - there, rtol=1e-6, atol=0)
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


# F10 messages and refusals that mislead


@pytest.mark.parametrize("method", ["deep-lift", "lrp"])
def test_f10_similarity_as_a_target(method):
    """A cosine by hand: autograd's own numbers for the score, completeness and the homogeneous network's shares."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 4, bias=False))
    net[1].weight.data = torch.randn(4, 12, generator=torch.Generator().manual_seed(1))
    image = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(2))
    base = torch.full_like(image, 0.5)
    wanted = torch.tensor([1.0, -2.0, 0.5, 1.0])
    options = {"baseline": 0.5} if method == "deep-lift" else {"composite": "epsilon"}
    target = pellucid.Similarity(wanted)
    found = pellucid.explain(net, image, method, target, options={method: options})[method]
    here, there = (F.cosine_similarity(net(t), wanted[None]).detach() for t in (image, base))
    total = here - there if method == "deep-lift" else here
    torch.testing.assert_close(found.raw.sum((1, 2, 3)), total, rtol=1e-4, atol=0)
    if method == "lrp":  # the lengths are held constant, so the pixels' shares are those of the scalar product
        shares = (net[1].weight.detach().T @ wanted) * image.flatten()
        expected = shares / (net(image).detach().norm() * wanted.norm())
        torch.testing.assert_close(found.raw.flatten(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1)])
@pytest.mark.parametrize("method", ["lrp", "cam", "excitation-backprop", "full-grad"])
def test_f10_a_softmax_at_the_end_is_answered_with_what_to_do(last, method):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), last)
    with pytest.raises(Refused, match=r"explain the scores before it.*call="):
        explain(net.eval(), IMAGE[:1], method, 1)


# F12 complex numbers


class Spectral(nn.Module):
    def __init__(self):
        super().__init__()
        self.c, self.h = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        z = torch.fft.rfft2(self.c(x))
        return self.h((torch.fft.irfft2(z + 0.5 * z, s=(14, 14)) + z.abs().mean((2, 3), keepdim=True)).mean((2, 3)))


@pytest.mark.parametrize("method", ["lrp", "deep-lift", "full-grad"])
def test_f12_a_fourier_transform_is_named(method):
    with pytest.raises(Refused, match=r"has no rule for .*fftr2c"):
        explain(Spectral().eval(), IMAGE[:1], method, 1)


# S5 stabilisers are relative


def plain(scale):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 4, 3, bias=False), nn.ReLU(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(4 * 36, 3, bias=False),
        ).eval()  # fmt: skip
    for parameter in net.parameters():
        parameter.data *= scale
    return net


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lrp", {}), ("lrp", {"composite": "epsilon"}), ("lrp", {"composite": "epsilon-gamma-box"}),
        ("lrp", {"dense": "alpha-beta"}), ("lrp", {"epsilon": 0.25, "dense": "epsilon"}),
        ("excitation-backprop", {}),
    ],
)  # fmt: skip
def test_s5_shares_do_not_depend_on_the_units_of_weights(method, options, scale):
    """A network without biases is homogeneous: weights times s give scores times s^3 and the same shares."""
    expected = explain(plain(1.0), IMAGE[:1], method, 1, **options).raw
    found = explain(plain(scale), IMAGE[:1], method, 1, **options).raw
    factor = scale**3 if method == "lrp" else 1.0
    torch.testing.assert_close(found / factor, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))
    if not options and method == "lrp":
        torch.testing.assert_close(found.sum((1, 2, 3)), scores(plain(scale), IMAGE[:1])[0], rtol=1e-3, atol=0)


def test_s5_a_unit_that_is_exactly_zero_sends_nothing():
    """1 x - 1 x = 0 at each pair of equal pixels: relevance 0 / 0 is nobody's."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False), nn.Linear(2, 1, bias=False))
    net[1].weight.data = torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    net[2].weight.data = torch.ones(1, 2)
    for epsilon in (0.0, 1e-6):
        found = explain(net, torch.ones(1, 1, 2, 2), "lrp", pellucid.Logit(0), composite="epsilon", epsilon=epsilon)
        torch.testing.assert_close(found.raw.flatten(), torch.tensor([0.0, 0.0, 1.0, 1.0]))


# P5 z-box behind operations that only move values


MOVES = {
    "Flatten": lambda x: x.flatten(1),
    "view": lambda x: x.view(len(x), -1),
    "reshape": lambda x: x.reshape(len(x), 12),
    "permute": lambda x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2).flatten(1),
    "a part": lambda x: x.flatten(1).split(12, 1)[0],
    "padding": lambda x: F.pad(x.flatten(1), (0, 2))[:, :12],
}


class Moved(nn.Module):
    def __init__(self, move, bias=True):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(6)
            self.move, self.fc = move, nn.Linear(12, 1, bias=bias)

    def forward(self, x):
        return self.fc(self.move(x))


@pytest.mark.parametrize("move", MOVES)
def test_p5_z_box_behind_moves(move):
    """R_j = (w_j x_j - w_j+ l - w_j- h) / sum_k (the same) x score; without a bias in the sum."""
    net, image = Moved(MOVES[move]), IMAGE[:1, :, :2, :2].contiguous()
    w, x = net.fc.weight.detach()[0], image.flatten()
    parts = w * x - w.clamp(min=0) * -3 - w.clamp(max=0) * 3
    found = explain(net, image, "lrp", pellucid.Logit(0), first="z-box", low=-3.0, high=3.0)
    expected = parts / parts.sum() * net(image).item()
    torch.testing.assert_close(found.raw.flatten(), expected, rtol=1e-4, atol=1e-6)


def test_p5_z_box_is_refused_behind_what_changes_values():
    with pytest.raises(Refused, match="z-box rule needs the range"):
        explain(Moved(lambda x: x.flatten(1).relu()), IMAGE[:1, :, :2, :2], "lrp", pellucid.Logit(0), first="z-box")


# Interface: LRP without biases in the denominators, rules for dense layers


def test_lrp_without_biases_in_the_denominator():
    """R_j = sum_k x_j w_jk / sum_i x_i w_ik R_k, layer by layer; zennit's zero_params='bias'."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2))
    image = IMAGE[:1, :, :2, :2]
    x, (below, above) = image.flatten(), (net[1].weight.detach(), net[3].weight.detach())
    y, score = net[:3](image)[0].detach(), net(image)[0, 1].detach()
    middle = y * above[1] / (y @ above[1]) * score
    expected = x * (below.T @ (middle / (below @ x)))
    found = explain(net, image, "lrp", 1, composite="epsilon", bias=False)
    torch.testing.assert_close(found.raw.flatten(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.raw.sum(), score, rtol=1e-4, atol=0)

    from zennit.composites import LayerMapComposite
    from zennit.rules import Epsilon, Pass

    leaf = image.clone().requires_grad_()
    rules = [(nn.ReLU, Pass()), (nn.Linear, Epsilon(epsilon=1e-9, zero_params="bias"))]
    with LayerMapComposite(rules).context(net) as changed:
        theirs = torch.autograd.grad(changed(leaf)[:, 1], leaf, score[None])[0]
    torch.testing.assert_close(found.raw, theirs, rtol=1e-4, atol=1e-5)


def test_lrp_gamma_for_dense_layers():
    """w' = w + gamma w+ and b' = b + gamma b+ where z > 0 (Montavon et al. 2019, section 10.2.3)."""
    net, image = Moved(MOVES["Flatten"]), IMAGE[:1, :, :2, :2].abs()
    net.fc.weight.data.abs_()
    net.fc.bias.data.abs_()
    net.fc.weight.data[0, ::3] *= -0.1
    w, b, x = net.fc.weight.detach()[0], net.fc.bias.item(), image.flatten()
    parts = x * (w + 0.5 * w.clamp(min=0))
    expected = parts / (parts.sum() + 1.5 * b) * net(image).item()
    found = explain(net, image, "lrp", pellucid.Logit(0), dense="gamma", gamma=0.5)
    torch.testing.assert_close(found.raw.flatten(), expected, rtol=1e-4, atol=1e-6)


# C12 linear algebra


@pytest.mark.parametrize("method", ["eigen-cam", "eigen-grad-cam", "kpca-cam"])
def test_c12_huge_activations_are_answered_or_refused_in_words(method):
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    for k, parameter in enumerate(net.parameters()):
        parameter.data.normal_(generator=torch.Generator().manual_seed(k))
    usual = explain(net.eval(), IMAGE[:1], method, 1, rectify=False)
    if method == "eigen-cam":  # the component of A times c is c times that of A
        huge = explain(net, IMAGE[:1] * 1e30, method, 1, rectify=False)
        torch.testing.assert_close(huge.raw / 1e30, usual.raw, rtol=1e-3, atol=1e-5)
        return
    try:
        assert bool(explain(net, IMAGE[:1] * 1e30, method, 1).raw.isfinite().all())
    except Refused as refusal:
        assert "too large" in str(refusal)


# S4 what the graph does not see, for methods that give it to constants


@pytest.mark.parametrize("how", ["detach", "data", "item", "numpy", "y * 0.2 + y.detach()"])
@pytest.mark.parametrize("method", ["lrp", "full-grad", "integrated-gradients"])
def test_s4_hidden_parts_are_noted(how, method):
    net = Inside(HIDDEN[how]).eval()
    notes = explain(net, IMAGE[:1], method, 1).notes
    assert any("hides something that it computes from the picture" in note for note in notes)
    net = Inside(torch.relu).eval()
    assert not any("hides" in note for note in explain(net, IMAGE[:1], method, 1).notes)


# `multiply_by_inputs=False`, captum's meaning


@pytest.mark.parametrize("method", ["deep-lift", "integrated-gradients"])
def test_without_the_factor_of_the_difference_it_is_the_multiplier(method):
    """Captum divides by nothing either: the same numbers without (I - B)."""
    net = Inside(torch.tanh).eval()
    with_factor = explain(net, IMAGE[:1], method, 1, baseline=0.3)
    without = explain(net, IMAGE[:1], method, 1, baseline=0.3, multiply_by_inputs=False)
    torch.testing.assert_close(without.raw * (IMAGE[:1] - 0.3), with_factor.raw, rtol=1e-4, atol=1e-8)


# The kind: random networks, with all of it at once


class Random(nn.Module):
    """Two blocks of softmax, attention, norms and activations on four tokens, perhaps with a hidden part."""

    BLOCKS = (
        lambda t: t.softmax(-1), lambda t: t.log_softmax(1), lambda t: F.layer_norm(t, (6,), eps=1e-12),
        lambda t: F.rms_norm(t, (6,), eps=1e-12), lambda t: t * t.sigmoid(), torch.tanh, torch.relu,
        lambda t: (t @ t.transpose(1, 2)).softmax(-1) @ t, lambda t: t / (1 + t.square().mean(-1, keepdim=True)).sqrt(),
        lambda t: F.scaled_dot_product_attention(t, 2 * t, t), lambda t: F.max_pool1d(t, 3, 1, 1),
    )  # fmt: skip

    def __init__(self, seed, hidden=None):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.ModuleList([nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(24, 3)])
            self.chosen = torch.randint(len(self.BLOCKS), (2,)).tolist()
            scale = 10 ** float(torch.empty(()).uniform_(-3, 3))
            self.layers[0].weight.data *= scale
            self.layers[1].weight.data *= min(scale, 30.0)
        self.hidden = hidden or (lambda t: t)

    def forward(self, x):
        t = x.flatten(2).transpose(1, 2)
        for layer, chosen in zip(self.layers, self.chosen, strict=False):
            t = self.hidden(self.BLOCKS[chosen](layer(t)))
        return self.layers[-1](t.flatten(1))


@pytest.mark.parametrize("seed", range(30))
def test_random_networks_sum_to_the_difference_or_are_refused(seed):
    """The difference of the scores is the network's own, in float64."""
    net, image = Random(seed), torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(seed))
    found = explain(net, image, "deep-lift", 1)
    here, there = scores(net.double(), image.double(), 0 * image.double())
    gap = (found.raw.double().sum((1, 2, 3)) - (here - there)).abs()
    assert float(gap) <= 2e-3 * float((here - there).abs()) + 2e-5 * float(here.abs() + there.abs())


@pytest.mark.parametrize("seed", range(12))
def test_random_hidden_parts_are_noted_or_refused(seed):
    """A share c of a value is detached: no gradient knows of it."""
    c = 0.05 * (1 + seed)
    net = Random(seed, lambda t: t + c * t.detach())
    image = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(seed))
    here, there = scores(net, image, 0 * image)
    for method in ("deep-lift", "lrp"):
        try:
            notes = explain(net, image, method, 1).notes
        except Refused:
            continue
        assert any("hides" in note for note in notes) or float((here - there).abs()) < 1e-6 * float(here.abs())
