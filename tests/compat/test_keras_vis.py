"""keras-vis's face: its signatures, its formulas by autograd, its backprop modifiers by hand, and refusals.

The signatures are those of keras-vis 0.5.0: vis/visualization/activation_maximization.py and saliency.py on GitHub.
"""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
from pellucid.compat.keras_vis import Jitter, visualize_activation, visualize_cam, visualize_saliency
from pellucid.errors import BadOption, BadSite, Refused, UnknownName

SIGNATURES = {
    visualize_activation: "model, layer_idx, filter_indices=None, wrt_tensor=None, seed_input=None, "
    "input_range=(0, 255), backprop_modifier=None, grad_modifier=None, act_max_weight=1, lp_norm_weight=10, "
    "tv_weight=10, **optimizer_params",
    visualize_saliency: "model, layer_idx, filter_indices, seed_input, wrt_tensor=None, backprop_modifier=None, "
    "grad_modifier='absolute', keepdims=False",
    visualize_cam: "model, layer_idx, filter_indices, seed_input, penultimate_layer_idx=None, "
    "backprop_modifier=None, grad_modifier=None",
    Jitter: "jitter=0.05",
}


class Net(nn.Module):
    """conv, functional relu, conv, relu, mean, linear, relu, linear."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 5, 3, stride=2, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.hidden, self.last = nn.Linear(5, 7), nn.Linear(7, 4)

    def forward(self, x):
        return self.last(self.act(self.hidden(self.act(self.two(self.one(x).relu())).mean((2, 3)))))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


PICTURE = torch.randn(1, 3, 10, 8, generator=torch.Generator().manual_seed(0))
ARRAY = PICTURE[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda f: f.__name__)
def test_parameters_are_those_of_keras_vis(function):
    found = inspect.signature(function).parameters.values()
    assert ", ".join(str(p.replace(annotation=p.empty)) for p in found) == SIGNATURES[function]


def unit(array):
    return (array - array.min()) / (array.max() - array.min())


def slope(net, classes, at=None):
    given = PICTURE.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(given)[0, classes].sum(), given)
    return gradient[0].permute(1, 2, 0).numpy()


def test_saliency_is_the_gradient_of_all_filters_named(net):
    for filters, classes in ((1, [1]), ([1, 3], [1, 3]), (None, [0, 1, 2, 3])):
        gradient = slope(net, classes)
        np.testing.assert_allclose(
            visualize_saliency(net, -1, filters, ARRAY), unit(np.abs(gradient).max(-1)), atol=1e-5
        )
    kept = visualize_saliency(net, "last", 1, PICTURE, grad_modifier=None, keepdims=True)
    np.testing.assert_allclose(kept, unit(slope(net, [1])), atol=1e-5)
    for modifier, change in (
        ("negate", lambda g: -g),
        ("relu", lambda g: np.maximum(g, 0)),
        ("small_values", lambda g: np.abs(1 / (g + 1e-7))),
        (lambda g: g**2, lambda g: g**2),
    ):
        found = visualize_saliency(net, 4, 1, PICTURE[0], grad_modifier=modifier)
        np.testing.assert_allclose(found, unit(change(slope(net, [1])).max(-1)), atol=1e-4)


@pytest.mark.parametrize("modifier", ["guided", "relu", "rectified", "deconv"])
def test_backprop_modifiers_by_hand(net, modifier):
    """Signals through each ReLU: positive ones where it was on (guided), or all positive ones (the other names)."""
    with torch.no_grad():
        one = net.one(PICTURE)
        two = net.two(one.relu())
        hidden = net.hidden(two.relu().mean((2, 3)))

    def through(signal, x):
        return signal.clamp(min=0) * ((x > 0) if modifier == "guided" else 1)

    signal = through(net.last.weight[[2]], hidden) @ net.hidden.weight
    signal = through((signal / two[0, 0].numel())[:, :, None, None].expand_as(two), two)
    signal = through(torch.nn.grad.conv2d_input(one.shape, net.two.weight, signal, stride=2, padding=1), one)
    signal = torch.nn.grad.conv2d_input(PICTURE.shape, net.one.weight, signal, padding=1)
    expected = signal[0].detach().permute(1, 2, 0).numpy()
    found = visualize_saliency(net, -1, 2, ARRAY, backprop_modifier=modifier, grad_modifier=None, keepdims=True)
    np.testing.assert_allclose(found, unit(expected), atol=1e-5)


def test_gradient_at_a_layer(net):
    with torch.no_grad():
        two = net.two(net.one(PICTURE).relu())
    two.requires_grad_()
    score = net.last(net.hidden(two.relu().mean((2, 3))).relu())[0, 1]
    (gradient,) = torch.autograd.grad(score, two)
    found = visualize_saliency(net, -1, 1, ARRAY, wrt_tensor="two")
    np.testing.assert_allclose(found, unit(gradient[0].abs().amax(0).numpy()), atol=1e-5)


def test_cam_is_grad_cam(net):
    model = pellucid.wrap(net)
    expected = pellucid.explain(model, PICTURE, "grad-cam", target=1, layer="two")["grad-cam"].values[0]
    np.testing.assert_allclose(visualize_cam(net, -1, 1, ARRAY), unit(expected.numpy()), atol=1e-5)
    first = pellucid.explain(model, PICTURE, "grad-cam", target=1, layer="one")["grad-cam"].values[0]
    np.testing.assert_allclose(visualize_cam(net, -1, 1, ARRAY, 0), unit(first.numpy()), atol=1e-5)


def test_cam_keeps_its_sign_where_all_gradients_are_negative():
    """Here keras-vis itself shows the opposite: it divides by the greatest gradient, a negative number."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(16, 1, bias=False))
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[2].weight.fill_(-1)
    picture = torch.linspace(-1, 1, 16).view(4, 4, 1).numpy()
    assert visualize_cam(net, -1, 0, picture)[0, 0] == 1
    assert visualize_cam(net, -1, 0, picture)[3, 3] == 0


def twin(net, start, steps, filters, weights=(1, 10, 10), modify=lambda g: g, to_picture=lambda z: z):
    """keras-vis's descent by autograd, on what the network is given (`minimize` in its vis/optimizer.py)."""
    values, cache, best, least = start.clone(), 0, None, np.inf
    for _ in range(steps):
        z = values.requires_grad_()
        activation = net(z)[0, filters].sum()
        tv = ((z[:, :, 1:, :-1] - z[:, :, :-1, :-1]) ** 2 + (z[:, :, :-1, 1:] - z[:, :, :-1, :-1]) ** 2).sum()
        norm = z.abs().double().pow(6).sum().pow(1 / 6)
        loss = -weights[0] * activation + (weights[1] * norm + weights[2] * tv) / z.numel()
        (g,) = torch.autograd.grad(loss, z)
        g = modify(g / (g.square().mean().sqrt() + 1e-7))
        cache = 0.95 * cache + 0.05 * g**2
        values = (z - g / (cache + 1e-7).sqrt()).detach()
        if loss < least:
            best, least = values, loss
    best = to_picture(best.detach())[0].permute(1, 2, 0).numpy()
    return np.clip((best - best.mean()) / best.std() * 0.1 + 0.5, 0, 1)


def test_activation_is_keras_vis_s_descent(net):
    start = torch.rand(1, 3, 10, 8, generator=torch.Generator().manual_seed(1)) * 20 + 100
    found = visualize_activation(net, -1, [0, 2], seed_input=start, input_range=(0.0, 255.0), max_iter=6)
    np.testing.assert_allclose(found / 255, twin(net, start, 6, [0, 2]), atol=2e-3)
    model = pellucid.wrap(net, size=(10, 8), resize=None, mean=(0.5,) * 3, std=(0.25,) * 3)
    found = visualize_activation(
        model, "last", 1, seed_input=start / 255, input_range=(0.0, 1.0), max_iter=5, tv_weight=0.5,
        lp_norm_weight=0, grad_modifier=lambda g: 0.5 * g,
    )  # fmt: skip
    given = (start / 255 - 0.5) / 0.25
    expected = twin(net, given, 5, [1], (1, 0, 0.5), lambda g: 0.5 * g, lambda z: z * 0.25 + 0.5)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_activation_grows_and_leaves_nothing_behind(net):
    model = pellucid.wrap(net.train(), size=(10, 8), resize=None, mean=(0.5,) * 3, std=(0.25,) * 3)
    seen, ended = [], []

    class Listener:
        def callback(self, i, named_losses, overall_loss, grads, wrt_value):
            seen.append((i, dict(named_losses)["ActivationMax Loss"], grads.shape, wrt_value.shape))

        def on_end(self):
            ended.append(True)

    state = torch.get_rng_state()
    options = {"max_iter": 20, "callbacks": [Listener()], "tv_weight": 0, "lp_norm_weight": 0}
    picture = visualize_activation(model, -1, 1, **options)
    assert picture.shape == (10, 8, 3)
    assert picture.dtype == np.uint8
    assert seen[-1][1] < seen[0][1]
    assert seen[0][2:] == ((1, 10, 8, 3),) * 2
    assert ended == [True]
    assert np.array_equal(picture, visualize_activation(model, -1, 1, **options))
    assert not np.array_equal(picture, visualize_activation(model, -1, 1, backprop_modifier="guided", **options))
    assert net.training
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_jitter_wraps_around_and_stays_within_its_bounds():
    rows = np.arange(20.0).reshape(1, 20, 1, 1)
    shifts = {int(Jitter(2).pre(rows)[0, 0, 0, 0]) for _ in range(3)} | {
        int(moved[0, 0, 0, 0]) for jitter in [Jitter(0.1)] for moved in [jitter.pre(rows) for _ in range(50)]
    }
    assert shifts == {18, 19, 0, 1, 2}
    assert np.array_equal(Jitter(3).post(rows), rows)


def test_photographs_and_inner_layers(net, capsys):
    model = pellucid.wrap(net, size=16)
    assert visualize_saliency(model, -1, 1, "sample:cat").shape == (16, 16)
    assert visualize_cam(model, "two", [0, 1], "sample:cat", "one").shape == (16, 16)
    made = visualize_activation(
        model, "two", 3, seed_input="sample:cat", max_iter=2, verbose=True, input_modifiers=[Jitter(1)]
    )
    assert made.shape == (16, 16, 3)
    assert "Iteration 2: ActivationMax Loss" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda net: visualize_saliency(net, 9, 0, ARRAY), BadOption, "has 5, numbered from 0"),
        (lambda net: visualize_saliency(net, "lost", 0, ARRAY), UnknownName, "last"),
        (lambda net: visualize_saliency(net, -1, 4, ARRAY), BadOption, "no filter 4"),
        (lambda net: visualize_saliency(net, -1, 0, ARRAY[0, 0]), BadOption, "row, column, channel"),
        (lambda net: visualize_saliency(net, -1, 0, "sample:cat"), BadOption, "no preprocessing"),
        (lambda net: visualize_saliency(net, -1, 0, ARRAY, backprop_modifier="gided"), UnknownName, "guided"),
        (lambda net: visualize_saliency(net, -1, 0, ARRAY, grad_modifier="abs"), UnknownName, "absolute"),
        (lambda net: visualize_saliency(net, "one", 0, ARRAY, wrt_tensor="two"), BadSite, "Name a layer before"),
        (lambda net: visualize_cam(net, -1, 0, ARRAY, "hidden"), BadSite, "no places"),
        (lambda net: visualize_cam(net, 0, 0, ARRAY), BadSite, "penultimate_layer_idx"),
        (lambda net: visualize_activation(net, -1, 0), BadOption, "How large"),
        (lambda net: visualize_activation(net, -1, 0, wrt_tensor=1), Refused, "wrt_tensor"),
        (lambda net: visualize_activation(net, -1, 0, steps=3), BadOption, "max_iter"),
        (lambda net: visualize_activation(net, -1, 0, input_range=(1, 0)), BadOption, "range"),
        (lambda net: visualize_activation(net, -1, 0, seed_input=PICTURE, max_iter=0), BadOption, "1 or more"),
        (lambda net: Jitter(-1), BadOption, "jitter"),
    ],
)
def test_refusals(net, call, error, words):
    with pytest.raises(error, match=words):
        call(net)


def test_modifiers_are_refused_where_they_would_do_nothing():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(Refused, match="gelu"):
        visualize_saliency(net, -1, 0, ARRAY, backprop_modifier="guided")
