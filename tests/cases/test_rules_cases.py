"""Rectifiers in any writing under guided backprop and DeconvNet; what DeepLIFT and layer methods take."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid
from one_activation import METHODS, OneActivation, assert_guided_as_without_rectifier, by_hand
from pellucid.adversarial.noise import from_noise
from pellucid.capture.differentiable import differentiable_forward
from pellucid.contracts import Preprocess
from pellucid.errors import Refused
from pellucid.feature_visualisation import parse
from pellucid.feature_visualisation.evaluator import ObjectiveEvaluator

Net = partial(OneActivation, channels=4, classes=2)


def with_zeros(x):
    return torch.stack([x, torch.zeros_like(x)])


RECTIFIERS = {  # each is max(x, 0)
    "norm of one": lambda x: (x + torch.linalg.vector_norm(x[..., None], dim=-1)) / 2,
    "hypot": lambda x: (x + torch.hypot(x, torch.zeros_like(x))) / 2,
    "normalize": lambda x: x * (F.normalize(x[..., None], dim=-1)[..., 0] + 1) / 2,
    "spread": lambda x: (x + torch.stack([x, -x]).std(0, unbiased=False)) / 2,
    "cdist": lambda x: (x + torch.cdist(x.reshape(-1, 1, 1), x.new_zeros(1, 1, 1)).reshape(x.shape)) / 2,
    "einsum": lambda x: (x + torch.einsum("nchw,nchw->nchw", x, x).sqrt()) / 2,
    "cummax": lambda x: with_zeros(x).cummax(0).values[-1],
    "sort": lambda x: with_zeros(x).sort(0).values[1],
    "topk": lambda x: with_zeros(x).topk(1, 0).values.squeeze(0),
    "max pooling": lambda x: F.max_pool1d(with_zeros(x).flatten(1).T[:, None], 2).view(x.shape),
    "gather": lambda x: with_zeros(x).gather(0, with_zeros(x).argmax(0, keepdim=True))[0],
    "buckets": lambda x: x * torch.bucketize(x.detach(), x.new_zeros(1)),
}


@pytest.mark.parametrize("form", RECTIFIERS)
def test_rectifiers_made_of_orders_and_sizes(form):
    net, image = Net(RECTIFIERS[form]), torch.randn(2, 3, 7, 6, dtype=torch.float64)
    found = pellucid.explain(net, image, METHODS, 1)
    for method in METHODS:
        torch.testing.assert_close(found[method].raw.double(), by_hand(net, image, method), rtol=1e-6, atol=1e-8)
        assert not found[method].notes


def outside(x):
    return torch.from_numpy((x.detach().numpy() > 0).astype("float64"))


OTHERS = {  # what the message must name
    "outside torch": lambda x: x * outside(x),
    "outside torch ": lambda x: x.masked_fill(outside(x) == 0, 0),
    "outside torch  ": lambda x: x * torch.tensor([float(v > 0) for v in x.flatten().tolist()]).view_as(x),
    "outside torch   ": lambda x: x * int(x.sum().item() > 0),
    "logsumexp": lambda x: torch.logsumexp(5 * with_zeros(x), 0) / 5,
    "linalg_vector_norm": lambda x: 0.6 * x + 0.4 * torch.linalg.vector_norm(x[..., None], dim=-1),
    "sort": lambda x: torch.stack([x, 0.1 * x]).sort(0).values[1],
    "softmax": lambda x: x * with_zeros(x).softmax(0)[0],
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_rectifier_is_named_however_it_is_made(name):
    image = torch.randn(1, 3, 7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with pytest.raises(Refused, match=name.strip()):
        pellucid.explain(Net(OTHERS[name]), image, "guided-backprop", 1)


@pytest.mark.parametrize(
    "gate",
    [
        F.hardsigmoid,
        lambda s: F.relu6(s + 3) / 6,
        lambda s: (s / 6 + 0.5).clamp(0, 1),
        lambda s: F.hardtanh(s.add(3), 0, 6).div(6),
        lambda s: (F.relu(s + 3) - F.relu(s - 3)) / 6,
    ],
)
def test_hard_sigmoid_is_none_in_any_writing(gate):
    """clamp(s + 3, 0, 6) / 6 opens with s + 3, and torch's own is no rectifier; as a gate of other values or alone."""
    image = torch.randn(1, 3, 7, 6, dtype=torch.float64)
    for activation in (gate, lambda x: x.roll(1, 1) * gate(x.mean((2, 3), keepdim=True))):
        net = Net(activation)
        with pytest.raises(Refused, match="hardsigmoid"):
            pellucid.explain(net, image, "guided-backprop", 1)


NO_ACTIVATIONS = {
    "order of channels": lambda x: x.sort(1).values,
    "a norm": lambda x: x / (x.norm(dim=1, keepdim=True) + 1),
    "softmax of channels": lambda x: x.softmax(1) * x.roll(1, 1),
    "a constant of NumPy": lambda x: x * torch.from_numpy(torch.arange(4.0).numpy())[:, None, None],
}


@pytest.mark.parametrize("form", NO_ACTIVATIONS)
def test_orders_norms_and_constants_are_no_activations(form):
    net, image = Net(NO_ACTIVATIONS[form]), torch.rand(1, 3, 7, 6, dtype=torch.float64)
    assert_guided_as_without_rectifier(net, image)


def test_a_relu6_behind_a_bias_is_a_capped_rectifier():
    """relu6(x + b) with a parameter b: 1[0 < x + b < 6] max(R, 0), as torch's own layer behind a bias."""
    net, image = Net(lambda x: F.relu6(x + net.bias)), torch.randn(1, 3, 7, 6, dtype=torch.float64)
    net.bias = nn.Parameter(torch.full((1,), 0.3, dtype=torch.float64))
    found = pellucid.explain(net, image, "guided-backprop", 1)["guided-backprop"].raw
    like = Net(F.relu6)
    with torch.no_grad():
        like.first.bias += 0.3
    torch.testing.assert_close(found, pellucid.explain(like, image, "guided-backprop", 1)["guided-backprop"].raw)
    assert math.isfinite(float(found.abs().max()))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32])
def test_maps_of_few_digits_have_the_type_of_all_others(kind):
    """They sum to S(I) - S(0) and to S(I), computed here in float64 from the same weights."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 2)).eval().to(kind)
    image = torch.randn(1, 3, 6, 6)
    found = pellucid.explain(net, image, ["deep-lift", "full-grad"], 0)
    with torch.no_grad():
        score, base = net.double()(torch.cat([image, 0 * image]).double())[:, 0]
    lift, full = found["deep-lift"], found["full-grad"]
    parts = full.extras["input_part"] + full.extras["bias_parts"].sum(1)
    for each in (lift.raw, lift.values, full.values, parts, lift.extras["gap"]):
        assert each.dtype == torch.float32
    rounding = 4 * torch.finfo(kind).eps * float(max(score.abs(), base.abs())) + 1e-6  # of four layers
    torch.testing.assert_close(lift.raw.double().sum(), score - base, rtol=0, atol=rounding)
    torch.testing.assert_close(parts[0].double(), score, rtol=0, atol=rounding)


class Half(nn.Module):
    """Probabilities that no classes share: of each whether it is there."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        p = self.head(self.conv(x).relu().mean((2, 3)))[:, :1].sigmoid()
        return torch.cat([p, p**2], 1)


def test_dream_and_fool_ask_what_an_output_is_as_explain_does():
    """p and p^2 are probabilities, though no row of them sums to 1: nothing is squeezed again."""
    net = Half().eval()
    preprocess = Preprocess((8, 8), None)
    model = replace(pellucid.wrap(net), preprocess=preprocess)
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = net((pictures - 0.5) / 0.5)[:, 0]
    with differentiable_forward(model, (), scores=True) as eyes:
        look = ObjectiveEvaluator(model, eyes, preprocess, parse("probability(0)"))
        torch.testing.assert_close(look.judge(pictures)[0], expected)
        assert eyes.measured(pictures).answers == "probabilities"
    found = from_noise(model, 1, count=1, sure=0.45 * float(expected.min()) ** 2, steps=1)
    assert torch.equal(found.after, found.before)  # surer than that already


class Direct(nn.Module):
    """An operation on the picture itself, and two sums of what it gives."""

    def __init__(self, operation):
        super().__init__()
        self.operation, self.weight = operation, torch.empty(0)

    def forward(self, x):
        y = self.operation(x).flatten(1)
        return y @ torch.linspace(-1, 2, 2 * y.shape[1], dtype=y.dtype).reshape(-1, 2)


def logarithmic_mean(s, t):
    return (s - t) / (s.log() - t.log())


def secant(f, x, r):
    return (f(x) - f(r)) / (x - r)


def largest(x, r, d):
    """The winner of the larger of both maxima answers for their difference."""
    flat, other, d = x.flatten(2), r.flatten(2), d.flatten(2)
    where = torch.where(flat.amax(2) >= other.amax(2), flat.argmax(2), other.argmax(2))[..., None]
    share = (flat.amax(2) - other.amax(2)) / (flat - other).gather(2, where)[..., 0]
    return share * d.gather(2, where)[..., 0]


def glu(x, r, d):
    (a, b), (a0, b0), (da, db) = (t.chunk(2, 1) for t in (x, r, d))
    slope = secant(torch.sigmoid, b, b0)
    return (b.sigmoid() + b0.sigmoid()) / 2 * da + (a + a0) / 2 * slope * db


def length(x, r, d):
    """|x| - |r| = (x + r) (x - r) / (|x| + |r|)."""
    return ((x + r) * d).sum(1) / (x.norm(dim=1) + r.norm(dim=1))


def quotient(a, a0, b, b0, da, db):
    """d(a / b) = (da - mean(a / b) db) / mean(b)."""
    return (da - (a / b + a0 / b0) / 2 * db) / ((b + b0) / 2)


def unit(x, r, d):
    sizes = (t.norm(dim=1, keepdim=True) for t in (x, r))
    return quotient(x, r, *sizes, d, length(x, r, d)[:, None])


def log_sum(x, r, d):
    weights = logarithmic_mean(x.exp(), r.exp())
    totals = (t.exp().sum((2, 3), keepdim=True) for t in (x, r))
    return (weights * d).sum((2, 3)) / logarithmic_mean(*totals)[..., 0, 0]


def nearby(t):
    """Sums over three neighbouring channels, nothing beyond the ends."""
    return F.pad(t, (0, 0, 0, 0, 1, 1)).unfold(1, 3, 1).sum(-1)


def response(x, r, d):
    base, other = (1 + nearby(t * t) / 3 for t in (x, r))
    change = nearby((x + r) * d) / 3 * secant(lambda t: t**0.75, base, other)
    return quotient(x, r, base**0.75, other**0.75, d, change)


MULTIPLIERS = {  # an operation, and the difference of its output as a sum of differences d of its input
    "amax": (lambda x: x.amax((2, 3)), largest),
    "max of a row": (lambda x: torch.stack([x.flatten(1).amax(1), x.flatten(1).amin(1)], 1), None),
    "max along axes": (lambda x: x.max(3).values.max(dim=2)[0], None),
    "amin": (lambda x: x.flatten(2).amin(-1), lambda x, r, d: -largest(-x, -r, -d)),
    "maximum": (lambda x: torch.maximum(*x.chunk(2, 1)), None),
    "glu": (lambda x: F.glu(x, 1), glu),
    "norm": (lambda x: x.norm(dim=1), length),
    "normalize": (lambda x: F.normalize(x, dim=1), unit),
    "cosine": (lambda x: F.cosine_similarity(x, torch.ones_like(x[:1]), 1), lambda x, r, d: unit(x, r, d).sum(1) / 2),
    "logsumexp": (lambda x: x.logsumexp((2, 3)), log_sum),
    "local response norm": (nn.LocalResponseNorm(3, alpha=1.0), response),
    "std": (lambda x: x.std(1), None),
    "distance": (lambda x: F.pairwise_distance(x.flatten(2), torch.zeros_like(x.flatten(2))), None),
    "unfold": (lambda x: F.unfold(x, 2), lambda x, r, d: F.unfold(d, 2)),
    "cos": (torch.cos, lambda x, r, d: secant(torch.cos, x, r) * d),
}


@pytest.mark.parametrize("name", MULTIPLIERS)
def test_deep_lift_multipliers_of_operations_in_steps(name):
    """Always complete and bounded; where the formula is one line, the multipliers are its derivative by d."""
    operation, formula = MULTIPLIERS[name]
    generator = torch.Generator().manual_seed(5)
    image, base = torch.randn(2, 1, 4, 3, 3, generator=generator, dtype=torch.float64)
    found = pellucid.explain(Direct(operation), image, "deep-lift", 1, options={"deep-lift": {"baseline": base[0]}})
    net, raw = Direct(operation), found["deep-lift"].raw
    torch.testing.assert_close(raw.sum(), (net(image) - net(base))[0, 1], rtol=1e-9, atol=1e-9)
    assert raw.abs().max() < 10 * (image - base).abs().max()
    if formula is not None:
        difference = (image - base).requires_grad_()
        change = Direct(lambda d: formula(image, base, d))(difference)[0, 1]
        multipliers = torch.autograd.grad(change, difference)[0]
        torch.testing.assert_close(raw, multipliers * difference.detach(), rtol=1e-7, atol=1e-9)


def test_layer_methods_behind_circular_padding():
    """Grad-CAM by hand: relu of the channels' sum, each times its mean gradient."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    ).double()  # fmt: skip
    image = torch.randn(1, 3, 8, 6, dtype=torch.float64)
    found = pellucid.explain(net, image, "grad-cam", 1)["grad-cam"]
    value = net[:4](image).detach().requires_grad_()
    slope = torch.autograd.grad(net[4:](value)[0, 1], value)[0]
    expected = (slope.mean((2, 3), keepdim=True) * value).sum(1).relu()
    torch.testing.assert_close(found.raw, expected.detach())
