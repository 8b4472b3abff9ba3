"""Methods along one and three axes: against the formulas, and against inputs with one more axis, of length 1."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pellucid

SIZES = {1: (12,), 2: (6, 8), 3: (6, 6, 8)}
FAST = {
    **{name: {"samples": 3} for name in ("smoothgrad", "squared-gradient", "vargrad", "smooth-grad-cam++")},
    **{name: {"samples": 3} for name in ("gradient-shap", "expected-gradients")},
    **{name: {"steps": 5} for name in ("integrated-gradients", "guided-ig")},
    "deep-lift-shap": {"baselines": 2},
}
ALIKE = (
    "ablation-cam", "cam", "contrastive-excitation-backprop", "deconvnet", "deep-lift", "deep-lift-shap", "eigen-cam",
    "eigen-grad-cam", "excitation-backprop", "expected-gradients", "fem", "finer-cam", "full-grad", "grad-cam",
    "grad-cam++", "gradient-shap", "guided-backprop", "guided-grad-cam", "guided-ig", "hires-cam", "input-x-gradient",
    "integrated-gradients", "kpca-cam", "layer-cam", "lrp", "refine-cam", "saliency", "score-cam", "shapley-cam",
    "smooth-grad-cam++", "smoothgrad", "squared-gradient", "vargrad", "xgrad-cam",
)  # fmt: skip
"""All that reads gradients or layers, but blur-ig: it sees 0 beyond an edge, and a single row is all edge."""


def network(axes, flat=False, bias=True):
    """Convolutions, batch norm, pools and a dense layer; `flat` puts an axis of length 1 before the others."""
    layer = lambda name: getattr(nn, f"{name}{axes + flat}d")  # noqa: E731 - the same layer on other axes
    side = lambda n, one: (one,) * flat + (n,) * axes  # noqa: E731
    torch.manual_seed(axes)
    net = nn.Sequential(
        layer("Conv")(2, 3, side(3, 1), padding=side(1, 0), bias=bias), layer("BatchNorm")(3), nn.ReLU(),
        layer("MaxPool")(side(2, 1)), layer("Conv")(3, 4, side(3, 1), padding=side(1, 0), bias=bias), nn.ReLU(),
        layer("AvgPool")(side(2, 1), 1), layer("ConvTranspose")(4, 4, side(2, 1), bias=bias), nn.ReLU(),
        layer("AdaptiveAvgPool")(1), nn.Flatten(), nn.Linear(4, 3, bias=bias),
    )  # fmt: skip
    net[7].weight.data.abs_()  # no rectifier is dead everywhere
    if bias:
        net[1].running_mean.uniform_(-0.1, 0.1)
        net[1].bias.data.uniform_(-0.1, 0.1)
        net[7].bias.data.abs_()
    return net.double().eval()


def sample(axes, batch=2):
    return torch.randn(batch, 2, *SIZES[axes], generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.mark.parametrize("axes", [1, 2])
def test_an_axis_of_length_one_changes_no_map(axes):
    x = sample(axes)
    found = pellucid.explain(network(axes), x, ALIKE, options=FAST)
    flat = pellucid.explain(network(axes, flat=True), x.unsqueeze(2), ALIKE, options=FAST)
    for mine, other in zip(found, flat, strict=True):
        assert mine.values.shape == (2, *SIZES[axes]) and str(mine.site) == str(other.site)
        torch.testing.assert_close(mine.values, other.values[:, 0], rtol=1e-9, atol=1e-11, msg=mine.method.id)
        if mine.raw.shape != mine.values.shape:
            torch.testing.assert_close(mine.raw, other.raw.reshape(mine.raw.shape), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("axes", [1, 3])
def test_maps_are_those_of_the_formulas(axes):
    net, x = network(axes), sample(axes)
    names = ["grad-cam", "layer-cam", "saliency", "input-x-gradient", "guided-backprop"]
    names += ["integrated-gradients", "deep-lift"]
    given = {"integrated-gradients": {"steps": 100}, "grad-cam": {"rectify": False}}
    found = pellucid.explain(net, x, names, target=1, options=given, layer="5")
    leaf = x.clone().requires_grad_()
    activation = net[:6](leaf)
    score = net[6:](activation)[:, 1]
    gradient, at_input = torch.autograd.grad(score.sum(), (activation, leaf))
    places = tuple(range(2, x.ndim))

    def same(name, wanted):
        torch.testing.assert_close(found[name].raw, wanted.detach(), rtol=1e-10, atol=1e-12, msg=name)

    same("grad-cam", (gradient.mean(places, keepdim=True) * activation).sum(1))
    same("layer-cam", (gradient.relu() * activation).sum(1).relu())
    same("saliency", at_input)
    same("input-x-gradient", at_input * x)
    same("guided-backprop", guided(net, x))
    (cam,) = pellucid.explain(net, x, "cam", target=1)
    torch.testing.assert_close(cam.raw, torch.einsum("k,nk...->n...", net[11].weight[1], net[:9](x)).detach())
    mode = {1: "linear", 3: "trilinear"}[axes]
    enlarged = F.interpolate(found["grad-cam"].raw[:, None], SIZES[axes], mode=mode, align_corners=False)[:, 0]
    torch.testing.assert_close(found["grad-cam"].values, enlarged)
    delta = (score - net(torch.zeros_like(x))[:, 1]).detach()
    for name, tolerance in (("integrated-gradients", 1e-2), ("deep-lift", 1e-10)):
        torch.testing.assert_close(found[name].raw.flatten(1).sum(1), delta, rtol=tolerance, atol=0, msg=name)


def guided(net, x):
    """Signals below 0 end at every rectifier on the way back."""
    leaf = x.clone().requires_grad_()
    value = leaf
    for part in net:
        value = part(value)
        if isinstance(part, nn.ReLU):
            value.register_hook(lambda signal: signal.relu())
    return torch.autograd.grad(value[:, 1].sum(), leaf)[0]
